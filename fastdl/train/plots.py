"""Figures of a training run, drawn without a display (matplotlib's Agg canvas) and written atomically."""

import math

from fastdl.extras import require
from fastdl.files import atomic_write


def plot_curves(history, path, valid="test"):
    """Draw loss and metrics over the epochs, one panel each.

    Args:
        history: list of dictionaries, one per epoch, with ``epoch`` and values ``train_<name>``, ``valid_<name>``: a
            Trainer's ``history``.
        path: the PNG file to write.
        valid: what the ``valid_`` values were measured on, for the legend.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "curves.png")
        >>> plot_curves([{"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.8}], path)
    """
    keys = [key for row in history for key in row if key.startswith(("train_", "valid_"))]
    names = list(dict.fromkeys(key.partition("_")[2] for key in keys))
    columns = min(len(names), 3)
    rows = math.ceil(len(names) / columns)
    figure = _figure(4.5 * columns, 3.6 * rows)
    epochs = [row["epoch"] for row in history]
    for panel, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, panel + 1)
        for part, label in (("train", "training"), ("valid", valid)):
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


def plot_images(images, path, columns=10, scale=2):
    """Draw grey images side by side, row by row.

    Args:
        images: (N, 1, height, width), any dtype; the smallest value becomes black, the largest white.
        path: the PNG file to write.
        columns: images in a row.
        scale: pixels of the picture for a pixel of an image, in each direction.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import os, tempfile, fastdl as fd
        >>> plot_images(fd.rand(20, 1, 8, 8), os.path.join(tempfile.mkdtemp(), "samples.png"))
    """
    import numpy as np

    count, _, height, width = images.shape
    rows = math.ceil(count / columns)
    pixels = images.detach().cpu().numpy().astype(np.float64)
    grid = np.full((rows * columns, height + 2, width + 2), pixels.min())  # a frame of one pixel around each
    grid[:count, 1:-1, 1:-1] = pixels[:, 0]
    grid = grid.reshape(rows, columns, height + 2, width + 2).swapaxes(1, 2).reshape(rows * (height + 2), -1)
    picture = require("matplotlib.image", "plots")
    with atomic_write(path) as file:
        picture.imsave(file, grid.repeat(scale, 0).repeat(scale, 1), cmap="gray", format="png")


def _figure(width, height):
    """Figure of width x height inches"""
    figure = require("matplotlib.figure", "plots").Figure(figsize=(width, height), dpi=120, layout="constrained")
    require("matplotlib.backends.backend_agg", "plots").FigureCanvasAgg(figure)
    return figure


def _write(figure, path):
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
