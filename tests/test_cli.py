"""The command fastdl, run as a user runs it: in a process of its own, with its output and exit code."""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

pytestmark = pytest.mark.cpu  # the command's default device, whatever that of the tests is

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
Image = pytest.importorskip("PIL.Image")

ROOT = Path(fd.__file__).resolve().parents[1]
FASHION = Path("/usr/share/datasets/fashion-mnist")
RESULTS = ["config.json", "confusion.png", "curves.png", "metrics.json", "model.safetensors"]


def command(*arguments):
    return [sys.executable, "-m", "fastdl", *map(str, arguments)]


def environment(**more):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error", **more}


def fastdl(*arguments, cwd, **options):
    """Run the command; gives (exit code, stdout, stderr)"""
    env = environment(**options.pop("env", {}))
    done = subprocess.run(
        command(*arguments), cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False, **options
    )
    return done.returncode, done.stdout, done.stderr


def fails(*arguments, cwd, match, **options):
    """The command ends with exit code 2 and one line that says what is wrong"""
    code, _, stderr = fastdl(*arguments, cwd=cwd, **options)
    assert code == 2, stderr
    assert len(stderr.splitlines()) == 1, stderr
    assert re.match(rf"fastdl {arguments[0]}: error: .*{match}", stderr), stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder with runs/digits, what the training printed)"""
    cwd = tmp_path_factory.mktemp("trained")
    code, stdout, stderr = fastdl("train", cwd=cwd)
    assert code == 0, stderr
    assert stderr == ""
    return cwd, stdout


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the trained run, to be damaged"""
    return Path(shutil.copytree(trained[0] / "runs" / "digits", tmp_path / "digits"))


def weights(folder):
    return {name: tensor.tolist() for name, tensor in fd.load(folder / "model.safetensors").items()}


# --- train


def test_train_writes_its_results(trained):
    cwd, stdout = trained
    folder = cwd / "runs" / "digits"
    assert sorted(path.name for path in folder.iterdir()) == RESULTS
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test"]["accuracy"] >= 0.98
    for score in ("precision", "recall", "f1"):
        assert metrics["test"][score] >= 0.975
    assert metrics["seconds"] < 60
    confusion = np.array(metrics["test"]["confusion"])
    assert confusion.sum() == 355
    assert confusion.trace() / 355 == pytest.approx(metrics["test"]["accuracy"])
    assert [row["epoch"] for row in metrics["history"]] == list(range(1, 16))
    config = json.loads((folder / "config.json").read_text())
    assert config["classes"] == list("0123456789")
    assert "CC BY 4.0" in config["attribution"]
    for name in ("curves.png", "confusion.png"):
        with Image.open(folder / name) as picture:
            picture.load()

    lines = stdout.splitlines()
    assert "\x1b" not in stdout
    assert sum(line.startswith("epoch ") for line in lines) == 15
    assert re.match(r"test accuracy 0\.\d{4}  macro precision .*  macro recall .*  macro F1 ", lines[-2])
    assert lines[-1] == "runs/digits: " + ", ".join(RESULTS)


def test_train_does_not_replace_a_run(trained, tmp_path):
    cwd, _ = trained
    fails("train", "--name", "digits", cwd=cwd, match="runs/digits exists already; choose another --name")
    fails("train", "--resume", "--name", "digits", cwd=cwd, match="has ended")
    code, stdout, _ = fastdl("train", "--epochs", 1, cwd=cwd)
    assert code == 0
    assert stdout.splitlines()[-1].startswith("runs/digits-2: ")


def test_the_seed_decides_and_threads_do_not(tmp_path):
    for name, *options in (("a",), ("b", "--threads", 2), ("c", "--seed", 1)):
        code, _, stderr = fastdl("train", "--epochs", 2, "--name", name, "--threads", 1, *options, cwd=tmp_path)
        assert code == 0, stderr
    a, b, c = (weights(tmp_path / "runs" / name) for name in "abc")
    assert a == b
    assert a != c


def test_ctrl_c_saves_and_resume_gives_the_same_weights(tmp_path):
    options = ["--epochs", 12, "--batch-size", 16]
    code, _, stderr = fastdl("train", "--name", "straight", *options, cwd=tmp_path)
    assert code == 0, stderr

    process = subprocess.Popen(
        command("train", "--name", "stopped", *options),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr == ""
    folder = tmp_path / "runs" / "stopped"
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.safetensors", "config.json"]
    assert "interrupted; the state is saved in runs/stopped" in stdout
    advised = shlex.split(stdout.splitlines()[-1])
    assert advised[:2] == ["fastdl", "train"]

    fails("predict", folder, "x.npy", cwd=tmp_path, match="the training has not ended")
    fails("train", "--resume", "--lr", 0.5, cwd=tmp_path, match=r"--lr 0\.5 contradicts 0\.01")
    code, stdout, stderr = fastdl(*advised[1:], cwd=tmp_path)
    assert code == 0, stderr
    epochs = [line for line in stdout.splitlines() if line.startswith("epoch ")]
    assert 0 < len(epochs) < 12
    assert sorted(path.name for path in folder.iterdir()) == RESULTS
    assert weights(folder) == weights(tmp_path / "runs" / "straight")


def test_steps_bound_the_training(tmp_path):
    code, _, stderr = fastdl("train", "digits", "--batch-size", 100, "--steps", 17, cwd=tmp_path)
    assert code == 0, stderr
    metrics = json.loads((tmp_path / "runs/digits/metrics.json").read_text())
    assert [row["epoch"] for row in metrics["history"]] == [1, 2]  # of 15 batches and 2
    assert sorted(path.name for path in (tmp_path / "runs/digits").iterdir()) == RESULTS


def test_resume_finds_the_run_of_a_recipe(tmp_path):
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "config.json").write_text('{"recipe": "fashion-mnist"}')
    fails("train", "digits", "--resume", cwd=tmp_path, match="there is no run of digits to resume in runs")
    fails(
        "train",
        "digits",
        "--resume",
        "--name",
        "x",
        cwd=tmp_path,
        match="runs/x is a run of fashion-mnist, not of digits",
    )
    fails("train", "--resume", cwd=tmp_path, match="config.json lacks epochs, batch_size")


def test_resume_after_a_kill_starts_from_the_last_epoch(tmp_path):
    process = subprocess.Popen(
        command("train", "--epochs", 12, "--batch-size", 16),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            process.kill()
            break
    process.communicate()
    half_written = tmp_path / "runs" / "digits" / ".checkpoint.safetensors.0123456789ab.tmp"  # as a kill may leave it
    half_written.touch()
    code, stdout, stderr = fastdl("train", "--resume", cwd=tmp_path)
    assert code == 0, stderr
    first = next(line for line in stdout.splitlines() if line.startswith("epoch "))
    assert int(re.match(r"epoch (\d+)/12", first).group(1)) > 1
    assert sorted(path.name for path in (tmp_path / "runs" / "digits").iterdir()) == RESULTS


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--epochs", "0"], "epochs must be positive"),
        (["--batch-size", "-3"], "batch_size must be positive"),
        (["--lr", "nan"], "lr must be positive"),
        (["--steps", "0"], "steps must be positive, got 0"),
        (["--device", "cuda"], "device cuda is not available"),
        (["--device", "tpu"], "expected 'cpu', 'cuda' or 'cuda:N'"),
        (["digits", "--data", "digits"], "--data names a recipe; leave it out beside digits"),
        (["--lr", "1e30"], "the loss became .* the learning rate may be too high"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--seed", "-1"], "seed must be from 0"),
        (["--name", "a/b"], "plain name of a folder, got 'a/b'"),
        (["--name", ".."], "plain name of a folder"),
        (["--data-dir", "x"], "--data-dir is for the other recipes"),
        (["--data", "fashion-mnist", "--data-dir", "nowhere"], "there is no folder .*nowhere"),
        (["--data", "fashion-mnist", "--data-dir", "."], "has no file train-images-idx3-ubyte"),
        (["--resume"], "there is no run to resume in runs"),
        (["--resume", "--name", "x"], "there is no run runs/x to resume"),
        (["--out", "/proc/nothing"], "No such file or directory: /proc/nothing"),
        (["--out", "a file"], "File exists: a file|Not a directory: a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train_with_bad_options(tmp_path, options, match):
    (tmp_path / "a file").touch()
    fails("train", *options, cwd=tmp_path, match=match)
    assert not list(tmp_path.glob("runs/*")), "a run that failed before it began must leave nothing"


def test_train_refuses_a_damaged_checkpoint(tmp_path):
    folder = tmp_path / "runs" / "digits"
    code, _, stderr = fastdl("train", "--epochs", 1, cwd=tmp_path)
    assert code == 0, stderr
    (folder / "metrics.json").unlink()
    shutil.copy(folder / "model.safetensors", folder / "checkpoint.safetensors")
    fails("train", "--resume", cwd=tmp_path, match="no checkpoint of fastdl")
    with (folder / "checkpoint.safetensors").open("r+b") as file:
        file.truncate(1000)
    fails("train", "--resume", cwd=tmp_path, match=r"checkpoint\.safetensors is no complete safetensors file")
    (folder / "config.json").write_text('{"data":')
    fails("train", "--resume", cwd=tmp_path, match=r"config\.json is damaged")


def test_train_on_a_full_disk(tmp_path):
    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # enough for config.json

    fails("train", "--epochs", 1, cwd=tmp_path, match="File too large: .*checkpoint.safetensors", preexec_fn=fill)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == []


def without(package, folder):
    """Environment in which a package cannot be imported"""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules['{package}'] = None\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), environment()["PYTHONPATH"]])}


def test_a_missing_package_is_one_line(tmp_path):
    fails("train", cwd=tmp_path, env=without("sklearn", tmp_path), match=r"scikit-learn: pip install 'fastdl\[app\]'")


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_reaches_its_accuracy(tmp_path):
    env = environment()
    done = subprocess.run(
        command("train", "--data", "fashion-mnist"), cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "runs" / "fashion-mnist" / "metrics.json").read_text())
    assert metrics["test"]["accuracy"] >= 0.91


# --- predict


def parse(stdout):
    """{title: [(probability, class), ...]}"""
    results, rows = {}, []
    for line in stdout.splitlines():
        if line.startswith("  "):
            probability, name = line.split()
            rows.append((float(probability), name))
        else:
            rows = results[line] = []
    return results


@pytest.fixture(scope="module")
def test_images():
    images, labels = fd.datasets.digits().test.tensors
    return images.numpy(force=True), labels.numpy(force=True)


def test_predict_arrays(trained, test_images, tmp_path):
    images, labels = test_images
    np.save(tmp_path / "all.npy", images)
    code, stdout, stderr = fastdl("predict", trained[0] / "runs/digits", tmp_path / "all.npy", cwd=tmp_path)
    assert code == 0, stderr
    results = list(parse(stdout).values())
    assert len(results) == len(labels)
    for row in results:
        assert sorted(name for _, name in row) == list("0123456789")
        assert [p for p, _ in row] == sorted((p for p, _ in row), reverse=True)
        assert sum(p for p, _ in row) == pytest.approx(1, abs=0.001)
    right = sum(row[0][1] == str(label) for row, label in zip(results, labels)) / len(labels)
    metrics = json.loads((trained[0] / "runs/digits/metrics.json").read_text())
    assert right == pytest.approx(metrics["test"]["accuracy"])


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "P", "I;16", "large", "inverted", "npy 2-d", "npy float"])
def test_predict_pictures(trained, test_images, tmp_path, kind):
    images, labels = test_images
    chosen = [int(np.flatnonzero(labels == label)[0]) for label in range(4)]
    paths, options = [], []
    for position in chosen:
        image = images[position, 0]
        path = tmp_path / f"{position}.png"
        grey = Image.fromarray((image.astype(np.uint16) * 255 // 16).astype(np.uint8))
        if kind == "I;16":
            grey = Image.fromarray((image.astype(np.uint32) * 65535 // 16).astype(np.uint16))
        elif kind == "large":
            grey = grey.resize((200, 160), Image.Resampling.BICUBIC)
        elif kind == "inverted":
            grey = Image.fromarray(255 - np.asarray(grey))
            options = ["--invert"]
        elif kind == "RGBA":
            white = Image.new("L", grey.size, 255)
            white.putalpha(grey)
            grey = white
        elif kind in ("RGB", "P"):
            grey = grey.convert(kind)
        if kind.startswith("npy"):
            path = path.with_suffix(".npy")
            np.save(path, image if kind == "npy 2-d" else image.astype(np.float64)[None])
        else:
            grey.save(path)
        paths.append(path)
    code, stdout, stderr = fastdl("predict", trained[0] / "runs/digits", *paths, *options, cwd=tmp_path)
    assert code == 0, stderr
    results = parse(stdout)
    assert list(results) == [str(path) for path in paths]
    right = sum(results[str(path)][0][1] == str(labels[position]) for path, position in zip(paths, chosen))
    assert right >= (3 if kind == "large" else 4)


def save_array(name, array, **options):
    return lambda folder: np.save(folder / name, array, **options)


def save_bytes(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def truncated_png(folder):
    Image.effect_noise((64, 64), 50).save(folder / "x.png")
    content = (folder / "x.png").read_bytes()
    (folder / "x.png").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "make", "match"),
    [
        ("missing.png", None, "No such file or directory: .*missing.png"),
        (".", None, "directory"),
        ("x.png", save_bytes("x.png", b""), "x.png is no picture"),
        ("x.png", save_bytes("x.png", b"text"), "x.png is no picture"),
        ("x.png", truncated_png, "x.png is no picture that can be read: .*truncated|broken"),
        ("x.npy", save_array("x.npy", np.zeros((9, 8))), r"x.npy has shape \(9, 8\); expected \(8, 8\)"),
        ("x.npy", save_array("x.npy", np.zeros((2, 3, 8, 8))), r"shape \(2, 3, 8, 8\)"),
        ("x.npy", save_array("x.npy", np.zeros((0, 8, 8))), "holds no images"),
        ("x.npy", save_array("x.npy", np.full((8, 8), np.nan)), "values from nan to nan"),
        ("x.npy", save_array("x.npy", np.full((8, 8), 255)), "values from 255 to 255; expected .* from 0 to 16"),
        ("x.npy", save_array("x.npy", np.full((8, 8), "a")), "real numbers, got <U1"),
        ("x.npy", save_array("x.npy", np.full((8, 8), {}, object), allow_pickle=True), "no complete .npy file"),
        ("x.npy", save_bytes("x.npy", b"\x93NUMPY\x01\x00"), "no complete .npy file"),
        ("x.npy", save_bytes("x.npy", b""), "no complete .npy file"),
    ],
)
def test_predict_with_bad_images(trained, tmp_path, name, make, match):
    if make is not None:
        make(tmp_path)
    fails("predict", trained[0] / "runs/digits", tmp_path / name, cwd=tmp_path, match=match)


def cut(name, length):
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:length])


def flip(run):
    content = bytearray((run / "model.safetensors").read_bytes())
    content[-100] ^= 4
    (run / "model.safetensors").write_bytes(content)


def other_weights(run):
    fd.save({"features.1.weight": fd.zeros(3)}, run / "model.safetensors")


def edit(old, new):
    return lambda run: (run / "config.json").write_text((run / "config.json").read_text().replace(old, new))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda run: (run / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda run: (run / "config.json").unlink(), "is no folder of a run: it has no config.json"),
        (cut("model.safetensors", 500), "model.safetensors is no complete safetensors file"),
        (flip, "model.safetensors do not match the checksum"),
        (other_weights, "does not hold the weights of the model"),
        (cut("config.json", 100), "config.json is damaged"),
        (edit('"classes": [', '"labels": ['), "config.json lacks classes"),
        (edit('"ConvClassifier"', '"Other"'), "there is no model 'Other'"),
        (shutil.rmtree, "there is no folder"),
    ],
)
def test_predict_with_a_damaged_run(run, damage, match):
    np.save(run.parent / "x.npy", np.zeros((8, 8)))
    damage(run)
    fails("predict", run, run.parent / "x.npy", cwd=run.parent, match=match)


# --- info, bench, usage


def test_info(tmp_path):
    code, stdout, stderr = fastdl("info", cwd=tmp_path)
    assert code == 0, stderr
    lines = dict(line.split(" ", 1) for line in stdout.splitlines())
    assert lines["fastdl"] == fd.__version__
    assert lines["CPU"] == f"level {fd.cpu_level()}"
    assert int(lines["threads"]) >= 1
    assert lines["devices"].startswith("cpu")


def test_bench(tmp_path):
    code, stdout, stderr = fastdl("bench", "--list", cwd=tmp_path)
    assert code == 0, stderr
    assert "matmul nn 1024x1024x1024" in stdout.splitlines()
    results = tmp_path / "results.json"
    code, stdout, stderr = fastdl("bench", "overhead a + b, 8 floats", "--rounds", "1", "--json", results, cwd=tmp_path)
    assert code == 0, stderr
    assert json.loads(results.read_text())[0]["seconds"]["fastdl"] > 0
    code, stdout, stderr = fastdl("bench", "--table", results, cwd=tmp_path)
    assert code == 0, stderr
    assert "| case | 1 thread |" in stdout
    assert re.search(r"\| overhead a \+ b, 8 floats \| \d+\.\d+ us \|", stdout)
    drawn = tmp_path / "results.png"
    fails("bench", "--table", results, "--picture", drawn, cwd=tmp_path, match="bound")  # an overhead has none
    code, stdout, stderr = fastdl(
        "bench", "add 1e5", "--vs", "numpy", "--rounds", "1", "--picture", drawn, cwd=tmp_path
    )
    assert code == 0, stderr
    assert drawn.read_bytes().startswith(b"\x89PNG")
    fails("bench", "matmul", "--table", results, cwd=tmp_path, match="matmul")
    fails("bench", "--table", tmp_path / "missing.json", cwd=tmp_path, match="missing.json")
    fails("bench", "--threads", "0", cwd=tmp_path, match="--threads 0")
    fails("bench", "--vs", "tensorflow", cwd=tmp_path, match="tensorflow")


def test_usage(tmp_path):
    for arguments in ([], ["fly"], ["train", "--data", "cats"], ["predict"], ["train", "--epochs", "many"]):
        code, _, stderr = fastdl(*arguments, cwd=tmp_path)
        assert code == 2
        assert "usage: fastdl" in stderr
    code, stdout, _ = fastdl("--help", cwd=tmp_path)
    assert code == 0
    assert all(name in stdout for name in ("train", "predict", "info", "bench"))


def test_a_reader_that_goes_away_is_no_error(trained, test_images, tmp_path):
    np.save(tmp_path / "all.npy", np.concatenate([test_images[0]] * 20))
    line = shlex.join(command("predict", trained[0] / "runs/digits", tmp_path / "all.npy")) + " | head -1"
    done = subprocess.run(["sh", "-c", line], env=environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path}/all.npy[0]\n"
