"""What can be done beside training: the hooks, checkpoints, stopping early."""

import math
import os


class Callback:
    """Hooks that a Trainer calls; the default ones do nothing.

    Each gets the trainer, whose ``epoch``, ``step``, ``history``, ``model``, ``optimizer`` tell the rest;
    ``trainer.stop()`` ends the training after the current step.

    Example:
        >>> class PrintLoss(Callback):
        ...     def on_epoch_end(self, trainer):
        ...         print(trainer.history[-1]["train_loss"])
    """

    def on_fit_start(self, trainer):
        pass

    def on_epoch_start(self, trainer):
        pass

    def on_step_end(self, trainer):
        pass

    def on_epoch_end(self, trainer):
        pass

    def on_fit_end(self, trainer):
        """Also called when training was interrupted or failed."""


class Checkpoint(Callback):
    """Save the trainer's state after epochs, and where Ctrl-C interrupts it.

    Args:
        path: the file; it is replaced atomically each time.
        every: epochs between two checkpoints.

    Raises:
        ValueError: ``every`` is no positive int.

    Example:
        >>> Checkpoint("run.safetensors", every=5).every
        5
    """

    def __init__(self, path, every=1):
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"Checkpoint: every must be a positive int, got {every!r}")
        self.path = os.fspath(path)
        self.every = every

    def on_epoch_end(self, trainer):
        if trainer.epoch % self.every == 0:
            trainer.save_checkpoint(self.path)

    def on_fit_end(self, trainer):
        if trainer.interrupted:
            trainer.save_checkpoint(self.path)


class EarlyStopping(Callback):
    """Stop when a value of the history has not improved for some epochs.

    Args:
        monitor: the value to watch, such as ``"valid_loss"``.
        patience: epochs without improvement after which training stops.
        higher_is_better: which direction is an improvement.

    Raises:
        KeyError: (while training) the history has no such value.

    Example:
        >>> EarlyStopping("valid_accuracy", patience=3, higher_is_better=True).monitor
        'valid_accuracy'
    """

    def __init__(self, monitor="valid_loss", patience=5, higher_is_better=False):
        self.monitor = monitor
        self.patience = patience
        self.higher_is_better = higher_is_better

    def on_epoch_end(self, trainer):
        if self.monitor not in trainer.history[-1]:
            raise KeyError(f"EarlyStopping: the history has no {self.monitor}, only {', '.join(trainer.history[-1])}")
        sign = 1 if self.higher_is_better else -1
        values = [sign * epoch[self.monitor] for epoch in trainer.history]
        best = max(range(len(values)), key=lambda i: -math.inf if math.isnan(values[i]) else values[i])
        if len(values) - 1 - best >= self.patience:
            trainer.stop()
