"""Augmentation of batches: every result is a possible one, all possible ones occur, and the seed decides."""

import numpy as np
import pytest

import fastdl as fd
from fastdl.data import Compose, RandomCrop, RandomErasing, RandomHorizontalFlip, RandomVerticalFlip

DTYPES = [fd.uint8, fd.int64, fd.float32, fd.float64, fd.bfloat16, fd.bool]


def numbered(n, c, h, w):
    """Images whose pixels all differ"""
    return fd.arange(n * c * h * w).reshape(n, c, h, w)


def place_of(window, padded):
    """(row, column) where the window lies in the padded image, all channels at one place; None if nowhere"""
    for row in range(padded.shape[1] - window.shape[1] + 1):
        for column in range(padded.shape[2] - window.shape[2] + 1):
            if np.array_equal(padded[:, row : row + window.shape[1], column : column + window.shape[2]], window):
                return row, column
    return None


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 3, 0), (2, 2, 2, 2)], ids=str)
def test_a_crop_is_a_window_of_the_padded_image(mode, padding):
    fd.manual_seed(0)
    left, top, right, bottom = padding
    images = numbered(40, 2, 5, 4)
    fill = {"constant_values": -7} if mode == "constant" else {}
    padded = np.pad(images.numpy(force=True), ((0, 0), (0, 0), (top, bottom), (left, right)), mode, **fill)
    cropped = RandomCrop((4, 3), padding, fill=-7, padding_mode=mode)(images)
    assert tuple(cropped.shape) == (40, 2, 4, 3)
    assert cropped.dtype == images.dtype
    for image, whole in zip(cropped.numpy(force=True), padded):
        assert place_of(image, whole) is not None


def test_every_place_is_equally_likely():
    fd.manual_seed(0)
    images = fd.arange(12).reshape(1, 1, 3, 4).expand(9000, 1, 3, 4)  # not contiguous
    corners = RandomCrop((1, 2))(images)[:, 0, 0, 0].numpy(force=True)
    counts = np.bincount(corners, minlength=12).reshape(3, 4)
    assert (counts[:, 3] == 0).all()  # a window of width 2 cannot begin there
    assert np.abs(counts[:, :3] - 1000).max() < 5 * np.sqrt(1000)


def test_flips():
    fd.manual_seed(0)
    images = numbered(400, 2, 3, 4)
    for transform, axis in ((RandomHorizontalFlip(0.3), 2), (RandomVerticalFlip(0.3), 1)):
        result = transform(images).numpy(force=True)
        flipped = [np.array_equal(new, np.flip(old, axis)) for new, old in zip(result, images.numpy(force=True))]
        same = [np.array_equal(new, old) for new, old in zip(result, images.numpy(force=True))]
        assert all(a != b for a, b in zip(flipped, same))
        assert abs(sum(flipped) - 120) < 5 * np.sqrt(400 * 0.3 * 0.7)
    assert (RandomHorizontalFlip(0)(images) == images).all()
    assert (RandomHorizontalFlip(1)(images) == images.flip(3)).all()


def erased_boxes(images):
    """(height, width) of the rectangle of nines of each image, (0, 0) where there is none; it must be a rectangle"""
    for image in images.numpy(force=True) == 9:
        rows, columns = np.flatnonzero(image.any((0, 2))), np.flatnonzero(image.any((0, 1)))
        height, width = (int(np.ptp(places)) + 1 if len(places) else 0 for places in (rows, columns))
        assert image.sum() == image.shape[0] * height * width
        yield height, width


def test_erased_parts_are_rectangles_of_the_asked_sizes():
    fd.manual_seed(0)
    images = fd.zeros(3000, 2, 20, 30)
    boxes = np.array(list(erased_boxes(RandomErasing(0.4, (0.1, 0.2), (0.5, 2), value=9)(images))))
    found = boxes[boxes[:, 0] > 0]
    assert abs(len(found) - 1200) < 5 * np.sqrt(3000 * 0.4 * 0.6)
    area = found.prod(1) / 600
    assert area.min() > 0.08 and area.max() < 0.22  # sides are rounded
    assert abs(area.mean() - 0.15) < 0.002
    aspect = found[:, 0] / found[:, 1]
    assert aspect.min() > 0.45 and aspect.max() < 2.2
    assert abs(np.log(aspect).mean()) < 0.05


def test_a_rectangle_that_does_not_fit_is_drawn_again_or_left_out():
    fd.manual_seed(0)
    images = fd.zeros(500, 1, 8, 8)
    assert list(erased_boxes(RandomErasing(1, (1, 1), (1, 1), value=9)(images))) == [(0, 0)] * 500
    # An aspect above 4 needs more rows than there are: about half of the attempts, so 10 of them hardly ever fail.
    boxes = list(erased_boxes(RandomErasing(1, (0.25, 0.25), (1, 16), value=9)(images)))
    assert sum(height > 0 for height, _ in boxes) > 490
    assert all(height < 8 and width < 8 for height, width in boxes)


def test_values_of_erased_parts():
    fd.manual_seed(0)
    images = fd.full((50, 3, 8, 8), 5.0)
    everywhere = {"p": 1, "scale": (0.5, 0.5), "ratio": (1, 1)}
    coloured = RandomErasing(**everywhere, value=(1, 2, 3))(images).numpy(force=True)
    assert [set(coloured[:, channel].ravel()) for channel in range(3)] == [{1, 5}, {2, 5}, {3, 5}]
    noise = RandomErasing(**everywhere, value="random")(images).numpy(force=True)
    noise = noise[noise != 5]
    assert noise.size > 3000
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.1


PIPELINE = Compose([RandomCrop(9, padding=2), RandomHorizontalFlip(), RandomErasing(0.5, value=1)])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_stay(dtype):
    images = (fd.rand(10, 1, 9, 9) * 5).to(dtype)
    assert PIPELINE(images).dtype == dtype


def test_the_seed_decides_and_threads_do_not(threads):
    images = fd.rand(256, 3, 28, 28)
    results = []
    for count, seed in ((1, 0), (2, 0), (2, 1)):
        threads(count)
        fd.manual_seed(seed)
        results.append(PIPELINE(images).numpy(force=True))
    assert results[0].tobytes() == results[1].tobytes()
    assert results[0].tobytes() != results[2].tobytes()


def test_a_generator_of_its_own_leaves_the_default_one_alone():
    images = numbered(20, 1, 6, 6)
    results, before = [], fd.get_rng_state().tolist()
    for _ in range(2):
        generator = fd.Generator()
        generator.manual_seed(3)
        transforms = [
            RandomCrop(5, generator=generator),
            RandomVerticalFlip(generator=generator),
            RandomErasing(value=0, generator=generator),
        ]
        results.append(Compose(transforms)(images).tolist())
    assert results[0] == results[1]
    assert fd.get_rng_state().tolist() == before


@pytest.mark.cpu
def test_captured_steps_draw_anew():
    images = fd.rand(16, 1, 9, 9)
    step = fd.capture(lambda x: PIPELINE(x) + 0)
    fd.manual_seed(0)
    captured = [step(images).tolist() for _ in range(4)]
    fd.manual_seed(0)
    assert captured == [PIPELINE(images).tolist() for _ in range(4)]
    assert captured[2] != captured[3]


@pytest.mark.parametrize("shape", [(0, 1, 9, 9), (4, 0, 9, 9), (1, 1, 5, 5), (1, 9, 9)], ids=str)
def test_empty_and_single_images(shape):
    assert tuple(PIPELINE(fd.rand(*shape)).shape) == (*shape[:-2], 9, 9)
    assert tuple(RandomCrop(3, padding=3)(fd.zeros(2, 1, 0, 4)).shape) == (2, 1, 3, 3)


def test_missing_pixels_are_added_when_asked():
    fd.manual_seed(0)
    crop = RandomCrop((6, 8), pad_if_needed=True)(fd.ones(30, 1, 4, 4))
    assert tuple(crop.shape) == (30, 1, 6, 8)
    assert (crop.sum((1, 2, 3)) == 16).all()  # a window of a padded image that leaves no room shows all of it


@pytest.mark.parametrize(
    ("transform", "images", "error", "match"),
    [
        (RandomCrop(5), fd.zeros(1, 1, 4, 9), fd.ShapeError, r"size \[5, 5\] is larger than images \[1, 1, 4, 9\]"),
        (RandomCrop(0), fd.zeros(1, 1, 4, 4), ValueError, "positive height and width"),
        (RandomCrop(2, padding=-1), fd.zeros(1, 1, 4, 4), ValueError, "must not be negative"),
        (RandomCrop(2, padding_mode="wrap"), fd.zeros(1, 1, 4, 4), ValueError, "mode 'wrap', expected 'constant'"),
        (RandomCrop(2, padding=4, padding_mode="reflect"), fd.zeros(1, 1, 4, 4), fd.ShapeError, "too large for images"),
        (RandomCrop(2), fd.zeros(4, 4), fd.ShapeError, r"images \[4, 4\], expected \(N, C, height, width\)"),
        (RandomHorizontalFlip(1.5), fd.zeros(1, 1, 4, 4), ValueError, r"probability 1.5, expected a value in \[0, 1\]"),
        (RandomErasing(scale=(0.5, 0.1)), fd.zeros(1, 1, 4, 4), ValueError, r"scale \(0.5, 0.1\)"),
        (RandomErasing(ratio=(0, 1)), fd.zeros(1, 1, 4, 4), ValueError, r"ratio \(0, 1\)"),
        (RandomErasing(value=(1, 2)), fd.zeros(1, 3, 4, 4), fd.ShapeError, r"\[2, 1, 1\]"),
    ],
)
def test_errors(transform, images, error, match):
    with pytest.raises(error, match=match):
        transform(images)


def test_errors_of_arguments():
    with pytest.raises(ValueError, match="1, 2 or 4 numbers"):
        RandomCrop(2, padding=(1, 2, 3))
    with pytest.raises(ValueError, match="value must be a number"):
        RandomErasing(value="black")
