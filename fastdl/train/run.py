"""One training run in a folder of its own: what ``fastdl train`` does."""

import json
import time
from pathlib import Path

import fastdl as fd
from fastdl import nn, optim
from fastdl.data import DataLoader
from fastdl.datasets import DATASETS
from fastdl.extras import require
from fastdl.files import atomic_write, remove_leftovers
from fastdl.models import build
from fastdl.serialize import save

from .callbacks import Checkpoint
from .plots import plot_confusion, plot_curves
from .progress import Progress
from .scores import classification_scores
from .trainer import Trainer

CONFIG, MODEL, METRICS = "config.json", "model.safetensors", "metrics.json"
CHECKPOINT = "checkpoint.safetensors"
_EVALUATION_BATCH = 500

# For each dataset the network and the settings that reach its accuracy on two cores within a minute or two.
RECIPES = {
    "digits": {
        "epochs": 15,
        "batch_size": 64,
        "lr": 0.01,
        "weight_decay": 0.01,
        "model": {"widths": [16, 32], "pools": [False, True], "dropout": 0.25},
    },
    "fashion-mnist": {
        "epochs": 5,
        "batch_size": 128,
        "lr": 0.01,
        "weight_decay": 0.01,
        "model": {"widths": [16, 32, 64], "pools": [True, True, True], "dropout": 0.25},
    },
}


def create_run(out, name, settings):
    """Make the folder of a new run, with its ``config.json``.

    Args:
        out: folder of all runs; made if it is missing.
        name: the run's folder inside; if None, the dataset's name, with ``-2``, ``-3`` ... where that is taken.
        settings: dictionary with ``data`` and any of ``data_dir``, ``epochs``, ``batch_size``, ``lr``, ``seed``; None
            stands for the recipe's value.

    Returns:
        Path of the folder.

    Raises:
        ValueError: the name is taken, or is no plain name of a folder, or a setting is out of range.
        OSError: the folder cannot be made.

    Example:
        >>> import tempfile
        >>> create_run(tempfile.mkdtemp(), None, {"data": "digits"}).name
        'digits'
    """
    config = {"seed": 0, "data_dir": None, **RECIPES[settings["data"]]}
    config.update({key: value for key, value in settings.items() if value is not None})
    for key in ("epochs", "batch_size", "lr"):
        if not config[key] > 0:
            raise ValueError(f"{key} must be positive, got {config[key]}")
    if not 0 <= config["seed"] < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1, got {config['seed']}")
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise ValueError(f"the name of a run must be the plain name of a folder, got {name!r}")
    Path(out).mkdir(parents=True, exist_ok=True)
    folder = _new_folder(Path(out), name, config["data"])
    config["fastdl"] = fd.__version__
    _write_json(config, folder / CONFIG)
    return folder


def discard_if_empty(folder):
    """Remove the folder of a run that failed before it saved anything: bad data, a missing package.

    Args:
        folder: what ``create_run`` gave.

    Example:
        >>> import tempfile
        >>> folder = create_run(tempfile.mkdtemp(), None, {"data": "digits"})
        >>> discard_if_empty(folder)
        >>> folder.exists()
        False
    """
    if [path.name for path in folder.iterdir()] == [CONFIG]:
        (folder / CONFIG).unlink()
        folder.rmdir()


def find_run(out, name=None):
    """The folder of a run that has not ended.

    Args:
        out: folder of all runs.
        name: the run's folder inside; if None, the run that was saved last.

    Raises:
        FileNotFoundError: there is no such run.
        ValueError: it has ended.

    Example:
        >>> import tempfile
        >>> out = tempfile.mkdtemp(); made = create_run(out, "first", {"data": "digits"})
        >>> find_run(out) == made
        True
    """
    if name is None:
        saved = sorted(
            (max(file.stat().st_mtime_ns for file in folder.iterdir() if file.name in (CONFIG, CHECKPOINT)), folder)
            for folder in (path.parent for path in Path(out).glob(f"*/{CONFIG}"))
            if not (folder / METRICS).exists()
        )
        if not saved:
            raise FileNotFoundError(f"there is no run to resume in {out}")
        return saved[-1][1]
    folder = Path(out, name)
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"there is no run {folder} to resume: it has no {CONFIG}")
    if (folder / METRICS).exists():
        raise ValueError(f"the run {folder} has ended; start a new one with another --name")
    return folder


def read_config(folder, keys=()):
    """The ``config.json`` of a run.

    Args:
        folder: the run's folder.
        keys: what it must contain.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no JSON object, or lacks a key.

    Example:
        >>> import tempfile
        >>> read_config(create_run(tempfile.mkdtemp(), None, {"data": "digits"}))["batch_size"]
        64
    """
    path = Path(folder, CONFIG)
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no folder of a run: it has no {CONFIG}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    missing = [key for key in keys if not isinstance(config, dict) or key not in config]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    return config


def train_run(folder):
    """Train what a run's ``config.json`` says, from its checkpoint if there is one, and write the results.

    The weights are those of the last epoch; nothing is chosen by the test images.

    Args:
        folder: what ``create_run`` or ``find_run`` gave.

    Returns:
        The metrics, as written to ``metrics.json``; None if Ctrl-C interrupted the training.

    Raises:
        ImportError: an optional package is missing; checked before the training.
        ValueError: the data or the checkpoint is damaged.
        FloatingPointError: the loss became NaN or infinite.
        OSError: a file cannot be read or written.

    Example:
        >>> import tempfile
        >>> folder = create_run(tempfile.mkdtemp(), None, {"data": "digits", "epochs": 1})
        >>> metrics = train_run(folder)  # doctest: +ELLIPSIS
        1442 training and 355 test images of ...
        >>> sorted(path.name for path in folder.iterdir())
        ['config.json', 'confusion.png', 'curves.png', 'metrics.json', 'model.safetensors']
    """
    for module, purpose in (("sklearn", "scores of predictions"), ("matplotlib", "plots")):
        require(module, purpose)
    remove_leftovers(folder)  # of a run that was killed while it saved
    config = read_config(folder, ("data", "data_dir", "seed", "epochs", "batch_size", "lr", "weight_decay", "model"))
    data = _load_data(config)
    fd.manual_seed(config["seed"])
    model = _build_model(config, data)
    config.update(
        classes=list(data.classes),
        image_size=list(data.image_size),
        pixel_max=data.pixel_max,
        attribution=data.attribution,
        model=model.config,
    )
    _write_json(config, folder / CONFIG)

    train_loader = DataLoader(data.train, config["batch_size"], shuffle=True)
    test_loader = DataLoader(data.test, _EVALUATION_BATCH)
    optimizer = optim.AdamW(model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    scheduler = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config["lr"], total_steps=config["epochs"] * len(train_loader)
    )
    checkpoint = folder / CHECKPOINT
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        scheduler=scheduler,
        callbacks=[Progress(), Checkpoint(checkpoint)],
    )
    if checkpoint.exists():
        trainer.load_checkpoint(checkpoint)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{len(data.train)} training and {len(data.test)} test images of {data.attribution}; "
        f"{parameters} parameters, {config['epochs']} epochs",
        flush=True,
    )
    trainer.fit(train_loader, test_loader, config["epochs"])
    if trainer.interrupted:
        return None
    return _write_results(folder, trainer, test_loader, data.classes)


def _write_results(folder, trainer, test_loader, classes):
    predicted, target = trainer.predict(test_loader)
    scores = classification_scores(target.numpy(force=True), predicted.numpy(force=True), len(classes))
    metrics = {
        "test": {"loss": trainer.history[-1]["valid_loss"], **scores},
        "history": trainer.history,
        "seconds": sum(row["seconds"] for row in trainer.history),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    save(trainer.model.state_dict(), folder / MODEL)
    plot_curves(trainer.history, folder / "curves.png")
    plot_confusion(scores["confusion"], classes, folder / "confusion.png")
    _write_json(metrics, folder / METRICS)  # the last one: it marks a run that has ended
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return metrics


def _load_data(config):
    loader = DATASETS.get(config["data"])
    if loader is None:
        raise ValueError(f"there is no dataset {config['data']!r}; expected one of {', '.join(DATASETS)}")
    return loader(config["data_dir"]) if config["data_dir"] is not None else loader()


def _build_model(config, data):
    pixels = data.train.tensors[0].to(fd.float32)
    return build(
        {
            "type": "ConvClassifier",
            "image_size": data.image_size,
            "classes": len(data.classes),
            "mean": pixels.mean().item(),
            "std": pixels.std().item(),
            **config["model"],
        }
    )


def _new_folder(out, name, default):
    if name is not None:
        folder = out / name
        try:
            folder.mkdir()
        except FileExistsError:
            raise ValueError(f"{folder} exists already; choose another --name, or go on with it by --resume") from None
        return folder
    number = 1
    while True:
        folder = out / (default if number == 1 else f"{default}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _write_json(content, path):
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
