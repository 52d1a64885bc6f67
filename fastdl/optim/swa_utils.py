"""Averages of a model's weights along its training: stochastic weight averaging (SWA) and exponential ones (EMA)."""

import math
from copy import deepcopy
from itertools import chain

import fastdl
from fastdl.autograd import no_grad
from fastdl.nn import Module
from fastdl.nn.normalization import _BatchNorm
from fastdl.optim.lr_scheduler import LRScheduler, _per_group

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip


def _check_decay(decay):
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"invalid decay {decay}, expected a value in [0, 1]")


def get_ema_multi_avg_fn(decay=0.999):
    """For ``multi_avg_fn``: average = decay average + (1 - decay) weight, of all weights in place.

    Raises:
        ValueError: a decay outside [0, 1].

    >>> averages, weights = [fd.zeros(1)], [fd.ones(1)]
    >>> get_ema_multi_avg_fn(0.75)(averages, weights, 1)
    >>> averages[0].item()
    0.25
    """
    _check_decay(decay)
    single = get_ema_avg_fn(decay)

    @no_grad
    def update(averages, weights, num_averaged):
        for average, weight in zip(averages, weights):
            if average.dtype.is_floating_point:
                average.lerp_(weight, 1 - decay)
            else:
                average.copy_(single(average, weight, num_averaged))

    return update


def get_swa_multi_avg_fn():
    """For ``multi_avg_fn``: average = average + (weight - average) / (num_averaged + 1), of all weights in place."""
    single = get_swa_avg_fn()

    @no_grad
    def update(averages, weights, num_averaged):
        for average, weight in zip(averages, weights):
            if average.dtype.is_floating_point:
                average.lerp_(weight, 1 / (float(num_averaged) + 1))
            else:
                average.copy_(single(average, weight, num_averaged))

    return update


def get_ema_avg_fn(decay=0.999):
    """For ``avg_fn``: decay average + (1 - decay) weight.

    Raises:
        ValueError: a decay outside [0, 1].
    """
    _check_decay(decay)

    @no_grad
    def update(average, weight, num_averaged):
        return decay * average + (1 - decay) * weight

    return update


def get_swa_avg_fn():
    """For ``avg_fn``: average + (weight - average) / (num_averaged + 1)."""

    @no_grad
    def update(average, weight, num_averaged):
        return average + (weight - average) / (num_averaged + 1)

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's, taken by ``update_parameters``.

    The first update copies the parameters. State: ``n_averaged`` and the copy's under ``module.``.

    Args:
        model: the model that is trained; it is copied.
        device: of the copy.
        avg_fn: (average, weight, n_averaged) to the new average.
        multi_avg_fn: changes a list of averages in place, from (averages, weights, n_averaged); one of the two may be
            given, the mean of all updates is the default.
        use_buffers: average the buffers too, in place of copying them.

    Raises:
        AssertionError: both functions.

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = fd.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.item()
    3.0
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("AveragedModel: give only one of avg_fn and multi_avg_fn")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", fastdl.tensor(0, dtype=fastdl.int64, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    @no_grad
    def update_parameters(self, model):
        """Takes the model's present parameters into the averages."""

        def averaged(module):
            return [t.detach() for t in chain(module.parameters(), module.buffers() if self.use_buffers else ())]

        averages = averaged(self.module)
        weights = [w.to(a.device) for w, a in zip(averaged(model), averages)]
        count = self.n_averaged.item()
        if count == 0:
            for average, weight in zip(averages, weights):
                average.copy_(weight)
        elif self.avg_fn is not None:
            for average, weight in zip(averages, weights):
                average.copy_(self.avg_fn(average, weight, self.n_averaged))
        else:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, weights, self.n_averaged)
        if not self.use_buffers:
            for mine, theirs in zip(self.module.buffers(), model.buffers()):
                mine.copy_(theirs)
        self.n_averaged += 1


@no_grad
def update_bn(loader, model, device=None):
    """Computes the running means and variances of a model's batch normalization layers anew, from one pass over ``loader``.

    Args:
        loader: batches: tensors, or tuples and lists whose first item is the input.
        model: whose other layers run in training mode too meanwhile.
        device: to move inputs to.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    momenta, was_training = [layer.momentum for layer in layers], model.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
    model.train()
    try:
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """lr goes from where it is to ``swa_lr`` in ``anneal_epochs`` epochs, and stays there.

    Args:
        swa_lr: the last rate, or one for each group.
        anneal_epochs: at least 0.
        anneal_strategy: "cos" or "linear".

    Raises:
        ValueError: an unknown strategy, or a negative number of epochs.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.swa_utils.SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for epoch in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.75]
    [0.5]
    [0.5]
    """

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        for group, lr in zip(optimizer.param_groups, _per_group("swa_lr", swa_lr, optimizer.param_groups)):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step):
        """Of swa_lr in the rate at a step."""
        done = max(0, min(1, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * done)) / 2 if self._anneal_strategy == "cos" else done

    def get_lr(self):
        # From the present rate, so that other schedulers may change it as well.
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        lrs = []
        for group, lr in zip(self.optimizer.param_groups, self._lrs()):
            target = group["swa_lr"]
            start = target if before == 1 else (lr - before * target) / (1 - before)
            lrs.append(target * now + start * (1 - now))
        return lrs
