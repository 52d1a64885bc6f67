"""Learning rates that change while training. Call ``step()`` after the optimizer's, once an epoch or once a batch."""

import math
from bisect import bisect_right
from collections import Counter

from fastdl.tensor import Tensor


def _set(group, name, value):
    if isinstance(group[name], Tensor):
        group[name].fill_(value)
    else:
        group[name] = value


class LRScheduler:
    """The base class: ``get_lr()`` gives each group's learning rate for the epoch ``last_epoch``.

    Args:
        optimizer: whose groups' ``lr`` is set, now and at each ``step()``.
        last_epoch: -1 at the start; to go on, the epoch that was last, with groups that have ``initial_lr``.

    Raises:
        TypeError: not an optimizer. KeyError: no ``initial_lr`` to go on from.
    """

    def __init__(self, optimizer, last_epoch=-1):
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming an optimizer")
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self):
        # Where training goes on, the optimizer's rates are those of the epoch already: rules that start from the present
        # rate must not go one step ahead.
        self._is_initial = True
        self._step_count = 0
        self.step()
        self._is_initial = False

    def _lrs(self):
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self):
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict):
        """Takes back what ``state_dict()`` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self):
        """Each group's learning rate as last set."""
        return self._last_lr

    def get_lr(self):
        """Each group's learning rate for ``last_epoch``, from the present one."""
        raise NotImplementedError

    def step(self, epoch=None):
        """Goes on to the next epoch, or to ``epoch``, and sets the learning rates."""
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch=None):
        if epoch is None:
            self.last_epoch += 1
            values = self.get_lr()
        else:
            self.last_epoch = epoch
            values = self._get_closed_form_lr() if hasattr(self, "_get_closed_form_lr") else self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, values):
            _set(group, "lr", lr)
        self._last_lr = self._lrs()


class _LRScheduler(LRScheduler):
    """The base class's old name, to derive from."""


class _LambdaScheduler(LRScheduler):
    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"expected {groups} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def state_dict(self):
        """Everything but the optimizer and plain functions; callable objects' attributes are kept."""
        state = {name: value for name, value in self.__dict__.items() if name not in ("optimizer", "lr_lambdas")}
        state["lr_lambdas"] = [_attributes(f) for f in self.lr_lambdas]
        return state

    def load_state_dict(self, state_dict):
        """Takes back what ``state_dict()`` returned."""
        saved = dict(state_dict)
        for function, attributes in zip(self.lr_lambdas, saved.pop("lr_lambdas")):
            if attributes is not None:
                function.__dict__.update(attributes)
        self.__dict__.update(saved)


class LambdaLR(_LambdaScheduler):
    """lr = initial lr x lr_lambda(epoch).

    Args:
        lr_lambda: a function, or one for each group.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def get_lr(self):
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas)]


class MultiplicativeLR(_LambdaScheduler):
    """lr = previous lr x lr_lambda(epoch).

    Args:
        lr_lambda: a function, or one for each group.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def get_lr(self):
        if self._is_initial:
            return self._lrs()
        return [lr * f(self.last_epoch) for lr, f in zip(self._lrs(), self.lr_lambdas)]


class StepLR(LRScheduler):
    """lr is multiplied by ``gamma`` every ``step_size`` epochs.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [1.0]
    [0.5]
    [0.5]
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        lrs = self._lrs()
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return lrs
        return [lr * self.gamma for lr in lrs]

    def _get_closed_form_lr(self):
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """lr is multiplied by ``gamma`` at each of the epochs ``milestones``.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
    >>> for epoch in range(3):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self._lrs()]

    def _get_closed_form_lr(self):
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """lr is multiplied by ``factor`` until epoch ``total_iters``.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        if not 0 <= factor <= 1:
            raise ValueError(f"constant multiplicative factor expected to be between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        lrs = self._lrs()
        if self.last_epoch == 0:
            return [lr * self.factor for lr in lrs]
        if self.last_epoch == self.total_iters:
            return [lr * (1.0 / self.factor) for lr in lrs]
        return lrs

    def _get_closed_form_lr(self):
        return [base * (self.factor if self.last_epoch < self.total_iters else 1.0) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """lr = initial lr x a factor that goes linearly from ``start_factor`` to ``end_factor`` over ``total_iters`` epochs.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        if not 0 < start_factor <= 1:
            raise ValueError(
                f"starting multiplicative factor expected to be greater than 0 and less or equal to 1, got {start_factor}"
            )
        if not 0 <= end_factor <= 1:
            raise ValueError(f"ending multiplicative factor expected to be between 0 and 1, got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        lrs = self._lrs()
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in lrs]
        if self._is_initial or self.last_epoch > self.total_iters:
            return lrs
        change = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * change
        return [lr * (1.0 + change / before) for lr in lrs]

    def _get_closed_form_lr(self):
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * (self.start_factor + (self.end_factor - self.start_factor) * done) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """lr is multiplied by ``gamma`` every epoch.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return self._lrs() if self._is_initial else [lr * self.gamma for lr in self._lrs()]

    def _get_closed_form_lr(self):
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """lr = initial lr x (1 - epoch / total_iters)^power, then 0.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        lrs = self._lrs()
        if self._is_initial or self.last_epoch > self.total_iters:
            return lrs
        left = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return [lr * (left / before) ** self.power for lr in lrs]

    def _get_closed_form_lr(self):
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial lr - eta_min) (1 + cos(pi epoch / T_max)) / 2.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> scheduler.step()
    >>> round(scheduler.get_last_lr()[0], 6)
    0.5
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        # From the present lr, so that other schedulers may change it as well.
        lrs = self._lrs()
        if self._is_initial:
            return lrs
        if self._step_count == 1 and self.last_epoch > 0:
            return self._get_closed_form_lr()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - self.eta_min) * rise for base, lr in zip(self.base_lrs, lrs)]
        ratio = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / (
            1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        )
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in lrs]

    def _get_closed_form_lr(self):
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """:class:`CosineAnnealingLR` that starts again after T_0 epochs, and then after periods T_mult times as long.

    ``step(epoch)`` takes fractions of an epoch.

    Raises:
        ValueError: T_0 or T_mult is not a positive int.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for epoch in range(2):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"expected integer T_mult >= 1, but got {T_mult}")
        self.T_0, self.T_i, self.T_mult, self.eta_min, self.T_cur = T_0, T_0, T_mult, eta_min, last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch=None):
        """Goes on to the next epoch, or to ``epoch``, which may be a fraction."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            if epoch < 0:
                raise ValueError(f"expected non-negative epoch, but got {epoch}")
            self.T_cur, self.T_i = epoch, self.T_0
            if epoch >= self.T_0:
                if self.T_mult == 1:
                    self.T_cur = epoch % self.T_0
                else:
                    n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
                    self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
                    self.T_i = self.T_0 * self.T_mult**n
        self.last_epoch = math.floor(epoch)
        for group, lr in zip(self.optimizer.param_groups, self.get_lr()):
            _set(group, "lr", lr)
        self._last_lr = self._lrs()


class OneCycleLR(LRScheduler):
    """lr rises from max_lr / div_factor to max_lr and falls to that start / final_div_factor; momentum does the inverse.

    Args:
        max_lr: the peak, or one for each group.
        total_steps: length of the cycle, or ``epochs`` x ``steps_per_epoch``. Call ``step()`` after each batch.
        pct_start: the share of the cycle that rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: also move momentum (Adam's beta1) between ``max_momentum`` and ``base_momentum``.
        div_factor, final_div_factor: first lr = max_lr / div_factor, last = first / final_div_factor.
        three_phase: fall to the first lr as fast as it rose, then to the last.

    Raises:
        ValueError: no length, an unknown strategy, an optimizer without momentum, or a step beyond the cycle.

    Source: Smith and Topin, "Super-convergence", 2018.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = fd.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> for batch in range(2):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [1.0]
    """

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
                 anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
                 final_div_factor=1e4, three_phase=False, last_epoch=-1):  # fmt: skip
        for name, value in (("total_steps", total_steps), ("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
            if value is not None and (value <= 0 or not isinstance(value, int)):
                raise ValueError(f"expected positive integer {name}, but got {value}")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("you must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if not 0 <= pct_start <= 1 or not isinstance(pct_start, float):
            raise ValueError(f"expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.total_steps, self._anneal_func_type, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        up = float(pct_start * total_steps) - 1
        down = total_steps - 1
        if three_phase:
            phases = [
                (up, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (2 * up, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (down, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            phases = [
                (up, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (down, "max_lr", "min_lr", "base_momentum", "max_momentum"),
            ]
        names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
        self._schedule_phases = [dict(zip(names, phase)) for phase in phases]
        groups = optimizer.param_groups
        if last_epoch == -1:
            for group, peak in zip(groups, _per_group("max_lr", max_lr, groups)):
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self.use_beta1 = _uses_beta1(optimizer)
            if last_epoch == -1:
                _set_momentum_bounds(self, base_momentum, max_momentum, groups)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start, end, done):
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)
        return (end - start) * done + start

    def get_lr(self):
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"tried to step {step} times: the cycle has {self.total_steps} steps")
        lrs = []
        for group in self.optimizer.param_groups:
            begin = 0.0
            for i, phase in enumerate(self._schedule_phases):
                end = phase["end_step"]
                if step <= end or i == len(self._schedule_phases) - 1:
                    done = (step - begin) / (end - begin)
                    lrs.append(self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], done))
                    if self.cycle_momentum:
                        momenta = group[phase["start_momentum"]], group[phase["end_momentum"]]
                        _set_momentum(group, self._anneal(*momenta, done), self.use_beta1)
                    break
                begin = end
        return lrs


class CyclicLR(LRScheduler):
    """lr goes linearly from base_lr to max_lr in step_size_up batches, and back in step_size_down; momentum the other way.

    Args:
        base_lr, max_lr: the bounds, or lists with one for each group.
        step_size_up, step_size_down: batches; down is as long as up if None. Call ``step()`` after each batch.
        mode: "triangular"; "triangular2" halves the amplitude every cycle; "exp_range" scales it by gamma^batch.
        gamma: of "exp_range".
        scale_fn, scale_mode: a function of the cycle's number ("cycle", from 1) or of the batch's ("iterations") that
            gives the amplitude's factor, in place of ``mode``.
        cycle_momentum: also move momentum (Adam's beta1) between ``max_momentum`` and ``base_momentum``.

    Raises:
        ValueError: an unknown mode, or an optimizer without momentum.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> for batch in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [1.0]
    [0.5]
    """

    def __init__(self, optimizer, base_lr, max_lr, step_size_up=2000, step_size_down=None, mode="triangular", gamma=1.0,
                 scale_fn=None, scale_mode="cycle", cycle_momentum=True, base_momentum=0.8, max_momentum=0.9,
                 last_epoch=-1):  # fmt: skip
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        groups = optimizer.param_groups
        base_lrs = _per_group("base_lr", base_lr, groups)
        if last_epoch == -1:
            for group, lr in zip(groups, base_lrs):
                _set(group, "lr", lr)
        self.max_lrs = _per_group("max_lr", max_lr, groups)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode {mode!r} is invalid and scale_fn is None")
        self.mode, self.gamma = mode, gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_beta1(optimizer)
            self.base_momentums = _per_group("base_momentum", base_momentum, groups)
            self.max_momentums = _per_group("max_momentum", max_momentum, groups)
            if last_epoch == -1:
                _set_momentum_bounds(self, base_momentum, max_momentum, groups)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x):
        """The amplitude's factor at cycle or batch ``x``."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return self.gamma**x
        return 0.5 ** (x - 1) if self.mode == "triangular2" else 1.0

    def get_lr(self):
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        at = 1.0 + self.last_epoch / self.total_size - cycle
        share = at / self.step_ratio if at <= self.step_ratio else (at - 1) / (self.step_ratio - 1)
        share *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums):
                _set_momentum(group, high - (high - low) * share, self.use_beta1)
        return [low + (high - low) * share for low, high in zip(self.base_lrs, self.max_lrs)]

    def state_dict(self):
        """Everything but the optimizer and a plain ``scale_fn``; a callable object's attributes are kept."""
        state = super().state_dict()
        state["_scale_fn_custom"] = _attributes(self._scale_fn_custom)
        return state

    def load_state_dict(self, state_dict):
        """Takes back what ``state_dict()`` returned."""
        saved = dict(state_dict)
        attributes = saved.pop("_scale_fn_custom")
        if attributes is not None:
            self._scale_fn_custom.__dict__.update(attributes)
        super().load_state_dict(saved)


def _attributes(function):
    """What a schedule's state keeps of a user's function: a callable object's attributes."""
    return None if function is None or hasattr(function, "__code__") else dict(function.__dict__)


def _uses_beta1(optimizer):
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    return "betas" in optimizer.defaults


def _set_momentum(group, value, use_beta1):
    if use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _set_momentum_bounds(scheduler, base_momentum, max_momentum, groups):
    lows, highs = _per_group("base_momentum", base_momentum, groups), _per_group("max_momentum", max_momentum, groups)
    for group, low, high in zip(groups, lows, highs):
        _set_momentum(group, high, scheduler.use_beta1)
        group["max_momentum"], group["base_momentum"] = high, low


def _per_group(name, value, groups):
    if isinstance(value, (list, tuple)):
        if len(value) != len(groups):
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups: got {len(value)}, expected {len(groups)}"
            )
        return list(value)
    return [value] * len(groups)


class _Combined(LRScheduler):
    """Schedulers of one optimizer, whose states are kept under ``_schedulers``."""

    def __init__(self, optimizer, schedulers):
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ValueError(f"{name} expects at least one scheduler, but got none")
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name}: the scheduler at index {i} has no optimizer")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name} does not support ReduceLROnPlateau (index {i}): its step needs a metric")
            if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, that of index {i} differs"
                )
        self._schedulers = list(schedulers)
        self.optimizer = optimizer or schedulers[0].optimizer

    def state_dict(self):
        """Everything but the optimizer; the schedulers' states under ``_schedulers``."""
        state = {name: value for name, value in self.__dict__.items() if name not in ("optimizer", "_schedulers")}
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict):
        """Takes back what ``state_dict()`` returned."""
        saved = dict(state_dict)
        for scheduler, state in zip(self._schedulers, saved.pop("_schedulers")):
            scheduler.load_state_dict(state)
        self.__dict__.update(saved)


class ChainedScheduler(_Combined):
    """All the schedulers at each step, one after the other: their factors multiply.

    Args:
        schedulers: all of the same optimizer.
        optimizer: that one; may be left out.

    Raises:
        ValueError: none, other optimizers, or a ReduceLROnPlateau.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> warmup = fd.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=1)
    >>> decay = fd.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = fd.optim.lr_scheduler.ChainedScheduler([warmup, decay])
    >>> for epoch in range(2):
    ...     print(scheduler.get_last_lr())
    ...     scheduler.step()
    [0.5]
    [0.5]
    """

    def __init__(self, schedulers, optimizer=None):
        super().__init__(optimizer, schedulers)
        self._last_lr = self._lrs()

    def step(self):
        """Goes on to the next epoch."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._lrs()


class SequentialLR(_Combined):
    """One scheduler after the other, the next from each milestone on.

    Args:
        schedulers: all of the same optimizer.
        milestones: the epochs at which the second, third, ... begin.

    Raises:
        ValueError: other optimizers, a ReduceLROnPlateau, or a number of milestones that does not fit.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> warmup = fd.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> decay = fd.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = fd.optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[2])
    >>> for epoch in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [1.0]
    [0.5]
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        super().__init__(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR expects one milestone less than schedulers, got {len(milestones)} for {len(schedulers)}"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        # The schedulers' own first steps have all changed the rates: go back, and begin the one meant for epoch 0 anew.
        for group in optimizer.param_groups:
            _set(group, "lr", group["initial_lr"])
        _undo(self)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self):
        """Goes on to the next epoch."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(combined):
    """Takes back the first step of all schedulers within."""
    for scheduler in combined._schedulers:
        if isinstance(scheduler, _Combined):
            _undo(scheduler)
        else:
            scheduler.last_epoch -= 1


class ReduceLROnPlateau(LRScheduler):
    """lr is multiplied by ``factor`` when a metric has not improved for more than ``patience`` epochs.

    Args:
        mode: "min" or "max": what an improvement is.
        factor: below 1.
        patience: epochs to wait.
        threshold, threshold_mode: an improvement is one by more than the share ("rel") or the amount ("abs") threshold.
        cooldown: epochs to wait after a change before counting again.
        min_lr: the smallest lr, or one for each group.
        eps: smaller changes are not made.

    ``step(metrics)`` takes the metric.

    Raises:
        ValueError: factor is not below 1, or an unknown mode.

    >>> optimizer = fd.optim.SGD([fd.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fd.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    >>> scheduler.step(3.0)
    >>> scheduler.step(3.0)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
                 min_lr=0, eps=1e-8):  # fmt: skip
        if factor >= 1.0:
            raise ValueError(f"factor should be < 1.0, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown")
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.min_lrs = _per_group("min_lr", min_lr, optimizer.param_groups)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr  # for groups that are added later
        self.last_epoch = 0
        self._last_lr = self._lrs()
        self._reset()

    def _reset(self):
        self.best = self.mode_worse = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0

    def is_better(self, a, best):
        """Whether ``a`` improves on ``best``."""
        if self.mode == "min":
            return a < (best * (1 - self.threshold) if self.threshold_mode == "rel" else best - self.threshold)
        return a > (best * (1 + self.threshold) if self.threshold_mode == "rel" else best + self.threshold)

    @property
    def in_cooldown(self):
        """Whether a change was made within the last ``cooldown`` epochs."""
        return self.cooldown_counter > 0

    def step(self, metrics, epoch=None):
        """Takes the metric of an epoch, and lowers the learning rates where it is time."""
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(current, self.best):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            groups = self.optimizer.param_groups
            if len(groups) != len(self.min_lrs):
                if self.default_min_lr is None:
                    raise RuntimeError(f"ReduceLROnPlateau: {len(self.min_lrs)} min_lrs for {len(groups)} param groups")
                self.min_lrs = [self.default_min_lr] * len(groups)
            for group, smallest in zip(groups, self.min_lrs):
                lr = float(group["lr"])
                new = max(lr * self.factor, smallest)
                if lr - new > self.eps:
                    _set(group, "lr", new)
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._lrs()
