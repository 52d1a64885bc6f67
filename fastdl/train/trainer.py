"""The training loop, interruptible after any step and resumable to the same bits."""

import math
import signal
import threading
import time
from contextlib import contextmanager, nullcontext

import fastdl as fd
from fastdl import nn

from .checkpoint import load_tree, save_tree
from .scores import accuracy


class Trainer:
    """Fit a model to batches of (inputs, target).

    The state that training depends on (weights, optimizer, scheduler, position in the epoch, random numbers) can be
    saved after any step; a training that goes on from a checkpoint gives the same bits as one that never stopped, for
    the same data and loaders. Within an epoch it does so by drawing the epoch's order again from the random state at
    its start and skipping the batches that are done.

    Ctrl-C ends the current step, then ``fit`` returns with ``interrupted`` set; a second Ctrl-C is a
    ``KeyboardInterrupt``.

    Args:
        model: module; ``model(inputs)`` gives the outputs.
        optimizer: over the model's parameters.
        loss_fn: ``loss_fn(outputs, target)`` gives a scalar; ``nn.CrossEntropyLoss()`` if None.
        scheduler: stepped after every step of the optimizer, or None.
        metrics: dictionary from names to functions of (outputs, target) that give a batch's mean, a float or a tensor;
            ``{"accuracy": accuracy}`` if None.
        callbacks: list of ``Callback``.
        clip_grad_norm: largest norm of all gradients together, or None.
        accumulate: batches whose gradients are averaged for one step of the optimizer: a batch of their joint size in the
            memory of one. The last step of an epoch takes what is left.
        autocast: ``fd.bfloat16`` runs the model and the loss under :class:`fastdl.autocast`; None does not.
        summarize: ``summarize(means)`` turns the means of the loss and the metrics over an epoch into the floats that are
            shown and kept (``class_scores``, or a loss's perplexity); None keeps them as they are.
        extra_state: dictionary from names to further objects with ``state_dict()`` and ``load_state_dict()`` that belong
            to a checkpoint: a second optimizer, averaged weights.

    Batches go to the device of the model's parameters. A subclass with a step of its own (two networks, two optimizers)
    overrides ``train_step``, and ``evaluate`` where that differs too; the rest stays.

    Attributes:
        epoch: finished epochs.
        step: batches done in the epoch that has begun.
        epoch_steps: batches of the running epoch.
        history: one dictionary per finished epoch: ``epoch``, ``train_loss``, ``train_<metric>``, ``valid_loss``,
            ``valid_<metric>``, ``seconds``.
        interrupted: whether Ctrl-C ended the last ``fit``.

    Example:
        >>> import fastdl as fd
        >>> from fastdl import nn, optim
        >>> from fastdl.data import DataLoader, TensorDataset
        >>> _ = fd.manual_seed(0)
        >>> x = fd.randn(64, 2)
        >>> loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).to(fd.int64)), batch_size=16, shuffle=True)
        >>> model = nn.Linear(2, 2)
        >>> trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.5))
        >>> history = trainer.fit(loader, epochs=5)
        >>> history[-1]["train_loss"] < history[0]["train_loss"]
        True
    """

    def __init__(self, model, optimizer, loss_fn=None, scheduler=None, metrics=None, callbacks=(), clip_grad_norm=None,
                 accumulate=1, autocast=None, summarize=None, extra_state=None):  # fmt: skip
        if not isinstance(accumulate, int) or accumulate < 1:
            raise ValueError(f"Trainer: accumulate must be a positive number of batches, got {accumulate!r}")
        self.model = model
        self.optimizer = optimizer
        self.loss_fn = loss_fn or nn.CrossEntropyLoss()
        self.scheduler = scheduler
        self.metrics = {"accuracy": accuracy} if metrics is None else dict(metrics)
        self.callbacks = list(callbacks)
        self.clip_grad_norm = clip_grad_norm
        self.accumulate = accumulate
        self.autocast = autocast
        self.summarize = summarize or dict
        self.extra_state = dict(extra_state or {})
        self.epoch = 0
        self.step = 0
        self.epochs = 0
        self.epoch_steps = 0
        self.history = []
        self.interrupted = False
        self._sums = {}
        self._samples = 0
        self._seconds = 0.0
        self._loader = None
        self._epoch_random = None  # the random state when the running epoch began; None between epochs
        self._loaded_random = None  # the random state of a checkpoint until fit sets it
        self._stopped = False

    def fit(self, train_loader, valid_loader=None, epochs=1, steps=None):
        """Train until ``epochs`` epochs are done, counted from the first one, also across resumes.

        Args:
            train_loader: iterable of (inputs, target) with a length; each ``iter()`` is an epoch.
            valid_loader: batches to evaluate on after each epoch, or None.
            epochs: epochs in all.
            steps: most batches in all, or None; the epoch in which they end is evaluated as a whole one.

        Returns:
            ``history``.

        Raises:
            ValueError: the loader is empty, or ``steps`` is not positive.
            FloatingPointError: the loss became NaN or infinite.
        """
        length = len(train_loader)
        if length == 0:
            raise ValueError("Trainer.fit: the training loader has no batches")
        if steps is not None and steps < 1:
            raise ValueError(f"Trainer.fit: steps must be positive, got {steps}")
        total = epochs * length if steps is None else min(epochs * length, steps)
        self.epochs = math.ceil(total / length)
        self.interrupted = self._stopped = False
        self._loader = train_loader
        if self._loaded_random is not None:
            _set_random_state(self._loaded_random, train_loader)
            self._loaded_random = None
        with self._interruptible():
            try:
                self._call("on_fit_start")
                while self.epoch < self.epochs and not self._ends():
                    self.epoch_steps = min(length, total - self.epoch * length)
                    self._run_epoch(valid_loader)
            finally:
                self._call("on_fit_end")
        return self.history

    def train_step(self, inputs, target):
        """One batch: forward, backward and, where the batch completes one, a step of the optimizer.

        Args:
            inputs, target: what the loader gave, on the model's device.

        Returns:
            Dictionary from ``loss`` and the metrics' names to the batch's means.

        Raises:
            FloatingPointError: the loss is NaN or infinite.
        """
        with self._autocast():
            outputs = self.model(inputs)
            loss = self.loss_fn(outputs, target)
        value = self.finite("loss", loss)
        first = self.step - self.step % self.accumulate  # of the batches that share a step of the optimizer
        last = min(first + self.accumulate, self.epoch_steps) - 1
        if self.step == first:
            self.optimizer.zero_grad()
        (loss if last == first else loss / (last - first + 1)).backward()
        if self.step == last:
            if self.clip_grad_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad_norm)
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
        return {"loss": value, **self._measure(outputs.detach(), target)}

    def finite(self, name, loss):
        """The float of a loss, or a ``FloatingPointError`` that says where training diverged."""
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the {name} became {value} in epoch {self.epoch + 1}, step {self.step + 1}: "
                "the learning rate may be too high, or the data holds NaN or infinite values"
            )
        return value

    def to_device(self, batch):
        """The tensors of a batch (in lists and tuples, at any depth) on the device of the model's parameters."""
        return _move(batch, next((p.device for p in self.model.parameters()), fd.device("cpu")))

    def evaluate(self, loader):
        """Loss and metrics over a loader, without gradients and in evaluation mode.

        Args:
            loader: iterable of (inputs, target).

        Returns:
            Dictionary from ``loss`` and the metrics' names to floats.

        Raises:
            ValueError: the loader is empty.
        """
        sums, samples = {}, 0
        for outputs, target in self._outputs(loader):
            with self._autocast():
                loss = self.loss_fn(outputs, target).item()
            values = {"loss": loss, **self._measure(outputs, target)}
            samples += _accumulate(sums, values, len(target))
        if not samples:
            raise ValueError("Trainer.evaluate: the loader has no samples")
        return self.summarize({name: total / samples for name, total in sums.items()})

    def predict(self, loader):
        """Classes that the model predicts, and the true ones.

        Args:
            loader: iterable of (inputs, target).

        Returns:
            (predicted, target), two int64 tensors of shape (N,).
        """
        pairs = [(outputs.argmax(1), target) for outputs, target in self._outputs(loader)]
        predicted, target = zip(*pairs)
        return fd.cat(predicted), fd.cat(target)

    def averages(self):
        """Loss and metrics of the running epoch so far."""
        return (
            self.summarize({name: total / self._samples for name, total in self._sums.items()}) if self._samples else {}
        )

    def stop(self):
        """Let ``fit`` return after the current step or epoch."""
        self._stopped = True

    def state_dict(self):
        """Everything that the rest of the training depends on, apart from the data: nested, for ``save_tree``."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "sums": self._sums,
            "samples": self._samples,
            "seconds": self._seconds,
            "random": self._loaded_random or _random_state(self._loader),
            "epoch_random": self._epoch_random,
            "extra": {name: part.state_dict() for name, part in self.extra_state.items()},
        }
        if self.step % self.accumulate:  # in the middle of a step of the optimizer
            state["gradients"] = {name: p.grad for name, p in self.model.named_parameters()}
        return state

    def load_state_dict(self, state):
        """Take over the state of another trainer of the same model, optimizer and scheduler.

        Args:
            state: what ``state_dict()`` gave. Its random state is set when ``fit`` starts.

        Raises:
            ValueError: it is not such a state, or has a scheduler where this trainer has none or the other way round.
            RuntimeError: the weights do not fit the model.
        """
        missing = [name for name in self.state_dict() if name not in state and name != "gradients"]
        if missing:
            raise ValueError(f"Trainer.load_state_dict: the state lacks {', '.join(missing)}")
        if (state["scheduler"] is None) != (self.scheduler is None):
            raise ValueError("Trainer.load_state_dict: only one of the state and the trainer has a scheduler")
        if state["extra"].keys() != self.extra_state.keys():
            raise ValueError(
                f"Trainer.load_state_dict: the state has the extra parts {sorted(state['extra'])}, "
                f"the trainer {sorted(self.extra_state)}"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        for name, part in self.extra_state.items():
            part.load_state_dict(state["extra"][name])
        self.epoch = state["epoch"]
        self.step = state["step"]
        self.history = list(state["history"])
        self._sums = dict(state["sums"])
        self._samples = state["samples"]
        self._seconds = state["seconds"]
        self._loaded_random = state["random"]
        self._epoch_random = state["epoch_random"]
        gradients = state.get("gradients", {})
        for name, p in self.model.named_parameters():
            gradient = gradients.get(name)
            p.grad = None if gradient is None else gradient.to(device=p.device, dtype=p.dtype, copy=True)

    def save_checkpoint(self, path):
        """Write ``state_dict()`` to a file, atomically.

        Raises:
            OSError: the file cannot be written; a previous one stays as it was.
        """
        save_tree(self.state_dict(), path)

    def load_checkpoint(self, path):
        """Go on from a file that ``save_checkpoint`` wrote.

        Raises:
            ValueError: the file is damaged or no checkpoint.
            OSError: the file cannot be read.
        """
        self.load_state_dict(load_tree(path))

    def _run_epoch(self, valid_loader):
        started = time.perf_counter()
        batches = self._begin_epoch()
        self._call("on_epoch_start")
        self.model.train()
        while self.step < self.epoch_steps:
            inputs, target = self.to_device(next(batches))
            values = self.train_step(inputs, target)
            self.step += 1
            self._samples += _accumulate(self._sums, values, len(target))
            self._call("on_step_end")
            if self._ends():
                self._seconds += time.perf_counter() - started
                return
        scores = {f"train_{name}": value for name, value in self.averages().items()}
        if valid_loader is not None:
            scores.update((f"valid_{name}", value) for name, value in self.evaluate(valid_loader).items())
        self.epoch += 1
        seconds = self._seconds + time.perf_counter() - started
        self.history.append({"epoch": self.epoch, **scores, "seconds": seconds})
        self.step, self._sums, self._samples, self._seconds, self._epoch_random = 0, {}, 0, 0.0, None
        self._call("on_epoch_end")

    def _begin_epoch(self):
        """The epoch's batches from step ``self.step`` on"""
        now = _random_state(self._loader)
        if self._epoch_random is None:
            self._epoch_random = now
            return iter(self._loader)
        _set_random_state(self._epoch_random, self._loader)
        batches = iter(self._loader)
        for _ in range(self.step):
            next(batches)
        _set_random_state(now, self._loader)
        return batches

    def _outputs(self, loader):
        self.model.eval()
        with fd.inference_mode():
            for batch in loader:
                inputs, target = self.to_device(batch)
                with self._autocast():
                    outputs = self.model(inputs)
                yield outputs, target

    def _autocast(self):
        if self.autocast is None:
            return nullcontext()
        device = next((p.device for p in self.model.parameters()), fd.device("cpu"))
        return fd.autocast(device.type, self.autocast)

    def _measure(self, outputs, target):
        return {name: metric(outputs, target) for name, metric in self.metrics.items()}

    def _ends(self):
        return self.interrupted or self._stopped

    def _call(self, hook):
        for callback in self.callbacks:
            getattr(callback, hook)(self)

    @contextmanager
    def _interruptible(self):
        """Within this block the first Ctrl-C only sets ``interrupted``"""
        if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) in (
            None,
            signal.SIG_IGN,
        ):
            yield
            return

        def handle(signum, frame):
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        previous = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def _accumulate(sums, means, count):
    """Add the means over ``count`` samples to sums over samples; gives back ``count``"""
    for name, mean in means.items():
        sums[name] = sums.get(name, 0.0) + mean * count
    return count


def _move(value, device):
    if hasattr(value, "to"):
        return value.to(device)
    return type(value)(_move(part, device) for part in value) if isinstance(value, list | tuple) else value


def _random_state(loader):
    generator = getattr(loader, "generator", None)
    return {"default": fd.get_rng_state(), "loader": None if generator is None else generator.get_state()}


def _set_random_state(state, loader):
    fd.set_rng_state(state["default"])
    if state["loader"] is not None:
        loader.generator.set_state(state["loader"])
