"""What a training shows while it runs: a bar on a terminal, plain lines elsewhere."""

import sys
import time

from .callbacks import Callback

_SECONDS_BETWEEN_LINES = 10


class Progress(Callback):
    """Show the steps of each epoch, and one line with the results after it.

    On a terminal where ``rich`` is installed: a progress bar. Otherwise plain lines, at most one in 10 s during an
    epoch, so that a log stays short.

    Args:
        stream: where to write; ``sys.stdout`` if None.

    Example:
        >>> import sys
        >>> Progress(sys.stdout).stream is sys.stdout
        True
    """

    def __init__(self, stream=None):
        self.stream = stream or sys.stdout
        self._bar = None
        self._line_time = 0.0

    def on_fit_start(self, trainer):
        self._line_time = time.monotonic()
        if self.stream.isatty():
            self._bar = _make_bar(self.stream)
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=trainer.epoch_steps, results="")

    def on_epoch_start(self, trainer):
        if self._bar is not None:
            self._bar.reset(
                self._task,
                total=trainer.epoch_steps,
                completed=trainer.step,
                description=f"epoch {trainer.epoch + 1}/{trainer.epochs}",
                results="",
            )

    def on_step_end(self, trainer):
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.step, results=_results(trainer.averages()))
        elif time.monotonic() - self._line_time >= _SECONDS_BETWEEN_LINES:
            self._print(
                f"epoch {trainer.epoch + 1}/{trainer.epochs} step {trainer.step}/{trainer.epoch_steps} "
                f"{_results(trainer.averages())}"
            )

    def on_epoch_end(self, trainer):
        row = trainer.history[-1]
        scores = {name: value for name, value in row.items() if name.startswith(("train_", "valid_"))}
        self._print(f"epoch {row['epoch']}/{trainer.epochs} {_results(scores)} ({row['seconds']:.1f} s)")

    def on_fit_end(self, trainer):
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, line):
        self._line_time = time.monotonic()
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=self.stream, flush=True)


def _results(values):
    return "  ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in values.items())


def _make_bar(stream):
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[results]}"),
        console=Console(file=stream),
        transient=True,
    )
