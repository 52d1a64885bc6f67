"""Classify images with the network of a run: what ``fastdl predict`` does."""

import os
from pathlib import Path

import fastdl as fd
from fastdl.extras import require
from fastdl.recipes import load_recipe
from fastdl.serialize import load
from fastdl.train.run import MODEL, read_config


def load_run(folder):
    """The trained network of a run.

    Args:
        folder: a folder that ``fastdl train`` wrote.

    Returns:
        (model in evaluation mode, the run's configuration).

    Raises:
        FileNotFoundError: it is no such folder, or the training has not ended.
        ValueError: a file in it is damaged, or the weights are not those of the configured model.

    Example:
        >>> model, config = load_run("runs/digits")  # doctest: +SKIP
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    config = read_config(folder, ("recipe",))
    weights = folder / MODEL
    if not weights.is_file():
        raise FileNotFoundError(f"{folder} has no {MODEL}: the training has not ended (fastdl train --resume)")
    recipe = load_recipe(config["recipe"])
    if not hasattr(recipe, "build_model"):
        raise ValueError(f"{folder} is a run of {config['recipe']}, whose network is not made to be used by itself")
    model = recipe.build_model(read_config(folder, ("model",)))
    state = load(weights)
    try:
        model.load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{weights} does not hold the weights of the model in config.json: {error}") from error
    return model.eval(), config


def read_images(path, image_size, pixel_max, invert=False):
    """Read an image, or an array of images, as the pixels that a model was trained on.

    A picture in any format that Pillow reads becomes grey, is resized to ``image_size`` (bilinear over the covered
    area, the aspect is not kept) and scaled from black = 0 to white = ``pixel_max``; transparent parts become black.
    The training images show bright strokes on black, so a photograph of ink on paper needs ``invert``.

    An ``.npy`` file must have the model's size already, (height, width), (N, height, width) or
    (N, 1, height, width), and values from 0 to ``pixel_max``.

    Args:
        path: the file.
        image_size: (height, width) in pixels.
        pixel_max: the value of white.
        invert: swap black and white.

    Returns:
        float32 tensor of shape (N, 1, height, width).

    Raises:
        ValueError: the file is damaged, is no image, or has a wrong shape or wrong values.
        ImportError: Pillow is not installed (pictures only).
        OSError: the file cannot be read.

    Example:
        >>> import os, tempfile, numpy as np
        >>> path = os.path.join(tempfile.mkdtemp(), "x.npy")
        >>> np.save(path, np.zeros((8, 8)))
        >>> tuple(read_images(path, (8, 8), 16).shape)
        (1, 1, 8, 8)
    """
    import numpy as np

    height, width = image_size
    is_array = os.fspath(path).lower().endswith(".npy")
    pixels = _read_array(path, height, width, pixel_max) if is_array else _read_picture(path, height, width) * pixel_max
    pixels = pixels.reshape(-1, 1, height, width)
    if invert:
        pixels = pixel_max - pixels
    return fd.from_numpy(np.ascontiguousarray(pixels, np.float32))


def classify(model, images):
    """Probabilities of the classes.

    Args:
        model: classifier that gives logits.
        images: (N, 1, height, width).

    Returns:
        List of N lists of floats that sum to 1.

    Example:
        >>> import fastdl as fd
        >>> from fastdl.models import ConvClassifier
        >>> model = ConvClassifier((8, 8), classes=3, widths=(4,)).eval()
        >>> [len(row) for row in classify(model, fd.zeros(2, 1, 8, 8))]
        [3, 3]
    """
    with fd.inference_mode():
        return model(images).softmax(1).tolist()


def _read_array(path, height, width, pixel_max):
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no complete .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        kind = getattr(array, "dtype", type(array).__name__)
        raise ValueError(f"{path} must hold one array of real numbers, got {kind}")
    shape = array.shape
    if array.ndim not in (2, 3, 4) or shape[-2:] != (height, width) or (array.ndim == 4 and shape[1] != 1):
        raise ValueError(
            f"{path} has shape {shape}; "
            f"expected ({height}, {width}), (N, {height}, {width}) or (N, 1, {height}, {width})"
        )
    if array.size == 0:
        raise ValueError(f"{path} holds no images: its shape is {shape}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > pixel_max:
        raise ValueError(
            f"{path} has values from {array.min():g} to {array.max():g}; expected finite ones from 0 to {pixel_max}"
        )
    return array


def _read_picture(path, height, width):
    """(height, width) array, black 0 to white 1"""
    import numpy as np

    Image = require("PIL.Image", "reading pictures")
    try:
        with Image.open(path) as file:
            file.load()
            image = _to_grey(Image, file)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no picture that can be read: {error}") from error
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32).clip(0, 1)


def _to_grey(Image, image):
    """Image of mode F, black 0 to white 1"""
    import numpy as np

    if image.mode.startswith("I"):  # 16 bits
        grey = np.asarray(image, np.float32) / 65535
    elif image.mode == "F":
        raise ValueError("a picture of floating-point values has no defined white; save it as .npy")
    else:
        if "A" in image.getbands() or "transparency" in image.info:
            colour = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), colour)
        grey = np.asarray(image.convert("L"), np.float32) / 255
    return Image.fromarray(grey)
