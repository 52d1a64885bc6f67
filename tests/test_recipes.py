"""The recipes, run as a user runs them, on small data: they end, resume to the same bits, and refuse bad input."""

import gzip
import json
import re
import shlex
import signal
import subprocess

import numpy as np
import pytest
from test_cli import command, environment, fails, fastdl
from test_datasets import idx

import fastdl as fd

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
Image = pytest.importorskip("PIL.Image")

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def write_images(folder, train=120, test=40, size=(28, 28)):
    """Ten classes of images that a network can tell apart: a bright row each, on noise"""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 100, (count, *size)).astype(np.uint8)
        images[np.arange(count), 2 * labels + 1] = 255
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


OPTIONS = {
    "image-cnn": ["--batch-size", 16, "--epochs", 6],
    "gan": ["--batch-size", 16, "--epochs", 4],
}
RESULTS = {
    "image-cnn": ["config.json", "confusion.png", "curves.png", "metrics.json", "model.safetensors"],
    "gan": ["config.json", "curves.png", "metrics.json", "model.safetensors"]
    + [f"samples-{epoch:03}.png" for epoch in range(1, 5)],
}
LAST_PART = {
    "image-cnn": "training, ",
    "gan": "generator and critic",
}  # the line after which the training proper begins


@pytest.fixture(scope="module", params=OPTIONS)
def trained(request, images, tmp_path_factory):
    """(recipe, folder of the run, what the training printed)"""
    recipe = request.param
    cwd = tmp_path_factory.mktemp(recipe)
    code, stdout, stderr = fastdl("train", recipe, "--data-dir", images, *OPTIONS[recipe], cwd=cwd)
    assert code == 0, stderr
    assert stderr == ""
    return recipe, cwd / "runs" / recipe, stdout


def without_times(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    history = [{name: value for name, value in row.items() if name != "seconds"} for row in metrics["history"]]
    return metrics["test"], history


def weights(folder):
    return {name: tensor.tolist() for name, tensor in fd.load(folder / "model.safetensors").items()}


def test_a_recipe_writes_its_results(trained):
    recipe, folder, stdout = trained
    assert sorted(path.name for path in folder.iterdir()) == RESULTS[recipe]
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            image.load()
    _, history = without_times(folder)
    assert [row["epoch"] for row in history] == list(range(1, OPTIONS[recipe][-1] + 1))
    assert stdout.splitlines()[-1] == f"runs/{recipe}: {', '.join(RESULTS[recipe])}"
    config = json.loads((folder / "config.json").read_text())
    assert config["recipe"] == recipe
    assert config["batch_size"] == 16


def test_interrupted_and_resumed_gives_the_same_bits(trained, images, tmp_path):
    recipe, straight, _ = trained
    process = subprocess.Popen(
        command("train", recipe, "--data-dir", images, *OPTIONS[recipe]),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    begun = False
    for line in process.stdout:
        begun = begun or LAST_PART[recipe] in line
        if begun and line.startswith("epoch 1/"):
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr == ""
    folder = tmp_path / "runs" / recipe
    assert (folder / "checkpoint.safetensors").exists()
    assert not (folder / "metrics.json").exists()
    code, _, stderr = fastdl(*shlex.split(stdout.splitlines()[-1])[1:], cwd=tmp_path)
    assert code == 0, stderr
    assert sorted(path.name for path in folder.iterdir()) == RESULTS[recipe]
    assert weights(folder) == weights(straight)
    assert without_times(folder) == without_times(straight)


def test_gan_interrupted_while_its_judge_learns(images, tmp_path):
    process = subprocess.Popen(
        command("train", "gan", "--data-dir", images, "--epochs", 1),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("epoch 2/5"):
            process.send_signal(signal.SIGINT)
            break
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stdout
    code, stdout, stderr = fastdl("train", "--resume", cwd=tmp_path)
    assert code == 0, stderr
    assert not any(line.startswith("epoch 1/5") for line in stdout.splitlines())


@pytest.mark.parametrize("recipe", OPTIONS)
def test_steps(recipe, images, tmp_path):
    options = ["--data-dir", images, "--batch-size", 16, "--steps", 3, "--threads", 1, "--seed", 5]
    code, stdout, stderr = fastdl("train", recipe, *options, cwd=tmp_path)
    assert code == 0, stderr
    assert "epoch 1/1 " in stdout
    assert [row["epoch"] for row in without_times(tmp_path / "runs" / recipe)[1]] == [1]
    fails("train", "--resume", "--name", recipe, cwd=tmp_path, match="has ended")


def test_threads_do_not_matter(images, tmp_path):
    for count in (1, 2):
        options = ["--data-dir", images, "--batch-size", 16, "--steps", 4, "--threads", count, "--name", f"run{count}"]
        code, _, stderr = fastdl("train", "image-cnn", *options, cwd=tmp_path)
        assert code == 0, stderr
    assert weights(tmp_path / "runs/run1") == weights(tmp_path / "runs/run2")


def test_predict_with_the_residual_network(trained, images, tmp_path):
    recipe, folder, _ = trained
    np.save(tmp_path / "x.npy", np.zeros((2, 28, 28), np.uint8))
    if recipe == "gan":
        fails(
            "predict",
            folder,
            "x.npy",
            cwd=tmp_path,
            match="is a run of gan, whose network is not made to be used by itself",
        )
        return
    code, stdout, stderr = fastdl("predict", folder, "x.npy", cwd=tmp_path)
    assert code == 0, stderr
    assert len(stdout.splitlines()) == 2 * 11


def labels(folder, name="train-labels-idx1-ubyte"):
    return bytearray((folder / name).read_bytes())


def out_of_range(folder):
    content = labels(folder)
    content[8 + 17] = 10
    (folder / "train-labels-idx1-ubyte").write_bytes(content)


def fewer_labels(folder):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(39, np.uint8)))


def truncated(folder):
    content = (folder / "train-images-idx3-ubyte").read_bytes()
    (folder / "train-images-idx3-ubyte").write_bytes(content[:-1])


def truncated_gzip(folder):
    path = folder / "t10k-images-idx3-ubyte"
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(path.read_bytes())[:-10])
    path.unlink()


def empty(folder):
    write_images(folder, train=0)


def words(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(120, np.int32)))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda folder: write_images(folder, size=(32, 32)), "dimensions 120 x 32 x 32; expected any x 28 x 28"),
        (out_of_range, "train-labels-idx1-ubyte has label 10 at position 17; expected labels from 0 to 9"),
        (fewer_labels, "t10k-labels-idx1-ubyte has dimensions 39; expected 40"),
        (truncated, "train-images-idx3-ubyte has the wrong length"),
        (truncated_gzip, "t10k-images-idx3-ubyte.gz is a damaged or truncated gzip file"),
        (empty, "train-images-idx3-ubyte holds no images"),
        (words, "holds elements of type int32; expected bytes"),
        (lambda folder: (folder / NAMES[3]).unlink(), "has no file t10k-labels-idx1-ubyte"),
    ],
    ids=["size", "label", "fewer labels", "truncated", "truncated gzip", "empty", "type", "missing"],
)
def test_bad_data(damage, match, tmp_path):
    folder = write_images(tmp_path / "images")
    damage(folder)
    for recipe in OPTIONS if damage is out_of_range else ["image-cnn"]:
        fails("train", recipe, "--data-dir", folder, cwd=tmp_path, match=match)
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--steps", "0"], "steps must be positive, got 0"),
        (["--steps", "-2"], "steps must be positive"),
        (["--lr", "0"], "lr must be positive"),
        (["--batch-size", "0"], "batch_size must be positive"),
        (["--device", "cuda:7"], "device"),
        (["--data-dir", "nowhere"], "there is no folder .*nowhere"),
        (["--data", "digits"], "--data names a recipe; leave it out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(options, match, images, tmp_path):
    more = [] if "--data-dir" in options else ["--data-dir", images]
    for recipe in OPTIONS if "--steps" in options else ["gan"]:
        fails("train", recipe, *more, *options, cwd=tmp_path, match=match)
    assert not list(tmp_path.glob("runs/*"))


def test_more_in_a_batch_than_there_are_images(images, tmp_path):
    options = ["--data-dir", images, "--batch-size", 500]
    fails("train", "image-cnn", *options, cwd=tmp_path, match="does not fill a batch of 500: take a smaller one")
    fails("train", "gan", *options, cwd=tmp_path, match="does not fill a batch of 500: take a smaller one")


def test_help_lists_the_recipes(tmp_path):
    code, stdout, _ = fastdl("train", "--help", cwd=tmp_path)
    assert code == 0
    assert all(re.search(rf"^  {recipe} +\w", stdout, re.M) for recipe in ("digits", *OPTIONS))
    code, _, stderr = fastdl("train", "image-rnn", cwd=tmp_path)
    assert code == 2
    assert "invalid choice: 'image-rnn'" in stderr


def test_recipes_are_imported_when_they_run(run_python):
    done = run_python("import sys, fastdl.cli; print([m for m in sys.modules if m.startswith('fastdl.recipes.')])")
    assert done.stdout == "[]\n", done.stderr
