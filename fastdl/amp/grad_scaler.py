"""Scaling of losses, for gradients that float16 would round to zero."""

from collections import defaultdict

import fastdl

from .. import captured
from ..autograd import no_grad
from ..tensor import Tensor

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"


class GradScaler:
    """Multiplies losses so that float16 gradients do not underflow; leaves out steps whose gradients overflowed.

    The scale grows by ``growth_factor`` after ``growth_interval`` steps without overflow, and falls by
    ``backoff_factor`` after each with. bfloat16 has float32's range and needs none of this.

    Args:
        device: "cpu" or "cuda"; the scale's own device.
        init_scale, growth_factor, backoff_factor, growth_interval: as above.
        enabled: False makes every method pass through.

    Raises:
        ValueError: a factor on the wrong side of 1. RuntimeError: calls out of order.

    Source: Micikevicius et al., "Mixed precision training", 2018.

    >>> w = fd.ones(2, requires_grad=True)
    >>> optimizer, scaler = fd.optim.SGD([w], lr=0.25), fd.amp.GradScaler("cpu")
    >>> scaler.scale((w * w).sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.tolist()
    [0.5, 0.5]
    """

    def __init__(self, device="cuda", init_scale=2.0**16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000,
                 enabled=True):  # fmt: skip
        if not growth_factor > 1.0:
            raise ValueError(f"GradScaler: the growth factor must be > 1.0, got {growth_factor}")
        if not backoff_factor < 1.0:
            raise ValueError(f"GradScaler: the backoff factor must be < 1.0, got {backoff_factor}")
        self._enabled = bool(enabled)
        self._device = device
        self._scale = float(init_scale)
        self._growth_factor, self._backoff_factor, self._growth_interval = (
            growth_factor,
            backoff_factor,
            growth_interval,
        )
        self._growth_tracker = 0
        self._used = False
        self._reset()

    def _reset(self):
        self._stage = defaultdict(lambda: _READY)  # of each optimizer, by its id
        self._overflow = {}

    def scale(self, outputs):
        """The outputs (a tensor, or lists, tuples and dicts of them) times the scale."""
        if not self._enabled:
            return outputs
        self._used = True
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, dict):
            return {key: self.scale(value) for key, value in outputs.items()}
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(value) for value in outputs)
        raise ValueError(f"GradScaler.scale: expected tensors, got {type(outputs).__name__}")

    def unscale_(self, optimizer):
        """Divides the optimizer's gradients by the scale, for clipping between ``backward`` and ``step``.

        Raises:
            RuntimeError: called twice, after ``step``, or before any ``scale``.
            ValueError: float16 gradients, whose quotients would underflow.
            CaptureError: inside a captured step, whose replays cannot decide to leave the optimizer out.
        """
        if not self._enabled:
            return
        if captured.current():
            raise captured.CaptureError(
                "GradScaler: whether a step is left out is decided in Python, which replays do not run; capture forward "
                "and backward, and call the scaler's step() and update() after them, or use bfloat16, which needs none"
            )
        if not self._used:
            raise RuntimeError("GradScaler.unscale_: no output was scaled before")
        stage = self._stage[id(optimizer)]
        if stage != _READY:
            raise RuntimeError(
                "GradScaler.unscale_: "
                + ("called twice" if stage == _UNSCALED else "called after step")
                + " since the last update()"
            )
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for gradient in gradients:
            if gradient.dtype is fastdl.float16:
                raise ValueError("GradScaler.unscale_: float16 gradients; keep the weights in float32")
        overflow = False
        with no_grad():
            for gradient in gradients:
                gradient.mul_(1.0 / self._scale)
                overflow = overflow or not bool(gradient.isfinite().all())
        self._stage[id(optimizer)] = _UNSCALED
        self._overflow[id(optimizer)] = overflow

    def step(self, optimizer, *args, **kwargs):
        """``optimizer.step(*args, **kwargs)`` with unscaled gradients, and its result; left out where one is not finite.

        Raises:
            RuntimeError: called twice since the last ``update``, or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise RuntimeError("GradScaler.step: a closure is not supported")
        if self._stage[id(optimizer)] == _STEPPED:
            raise RuntimeError("GradScaler.step: called twice since the last update()")
        if self._stage[id(optimizer)] == _READY:
            self.unscale_(optimizer)
        result = None if self._overflow[id(optimizer)] else optimizer.step(**kwargs)
        self._stage[id(optimizer)] = _STEPPED
        return result

    def update(self, new_scale=None):
        """Changes the scale for the next step, by what was found since the last call, or to ``new_scale``.

        Raises:
            RuntimeError: no gradient was unscaled since the last ``update``.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._overflow:
            raise RuntimeError("GradScaler.update: no gradients were unscaled since the last update()")
        elif any(self._overflow.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale *= self._growth_factor
                self._growth_tracker = 0
        self._reset()

    def is_enabled(self):
        """Whether it does anything."""
        return self._enabled

    def get_scale(self):
        """The present scale."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self):
        """The factor by which the scale grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor):
        """Sets the factor by which the scale grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self):
        """The factor by which the scale falls."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor):
        """Sets the factor by which the scale falls."""
        self._backoff_factor = new_factor

    def get_growth_interval(self):
        """The steps without overflow after which the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval):
        """Sets the steps without overflow after which the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self):
        """The scale, the factors and the count of steps; empty where it is not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict):
        """Takes back what ``state_dict()`` returned.

        Raises:
            RuntimeError: an empty dict, from a scaler that was not enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "GradScaler.load_state_dict: the state is empty, it was saved by a scaler that was disabled"
            )
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
