"""Figures of a training run, drawn without a display (matplotlib's Agg canvas) and written atomically."""

from fastdl.extras import require
from fastdl.files import atomic_write


def plot_curves(history, path):
    """Draw loss and accuracy over the epochs.

    Args:
        history: list of dictionaries, one per epoch, with ``epoch``, ``train_loss``, ``train_accuracy`` and, where they
            were measured, ``valid_loss``, ``valid_accuracy``: a Trainer's ``history``.
        path: the PNG file to write.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "curves.png")
        >>> plot_curves([{"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.8}], path)
    """
    figure = _figure(9, 3.6)
    epochs = [row["epoch"] for row in history]
    for column, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, column + 1)
        for part, label in (("train", "training"), ("valid", "test")):
            values = [row.get(f"{part}_{name}") for row in history]
            if any(value is not None for value in values):
                axes.plot(epochs, [float("nan") if v is None else v for v in values], marker=".", label=label)
        axes.set(xlabel="epoch", ylabel=name, title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    _write(figure, path)


def plot_confusion(confusion, classes, path):
    """Draw a confusion matrix with its counts.

    Args:
        confusion: list of rows of counts; row: true class, column: predicted class.
        classes: the names of the classes.
        path: the PNG file to write.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> plot_confusion([[3, 1], [0, 4]], ["cat", "dog"], os.path.join(tempfile.mkdtemp(), "confusion.png"))
    """
    count = len(classes)
    side = 2 + 0.5 * count
    figure = _figure(side, side)
    axes = figure.add_subplot()
    shares = [[cell / max(sum(row), 1) for cell in row] for row in confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(confusion):
        for j, cell in enumerate(row):
            if cell:
                axes.text(j, i, str(cell), ha="center", va="center", color="white" if shares[i][j] > 0.5 else "black")
    axes.set_xticks(range(count), classes, rotation=45, ha="right")
    axes.set_yticks(range(count), classes)
    axes.set(xlabel="predicted", ylabel="true", title="confusion matrix")
    _write(figure, path)


def _figure(width, height):
    """Figure of width x height inches"""
    figure = require("matplotlib.figure", "plots").Figure(figsize=(width, height), dpi=120, layout="constrained")
    require("matplotlib.backends.backend_agg", "plots").FigureCanvasAgg(figure)
    return figure


def _write(figure, path):
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
