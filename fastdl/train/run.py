"""One training run in a folder of its own: what ``fastdl train`` and its recipes stand on."""

import json
import time
from pathlib import Path

import fastdl as fd
from fastdl.extras import require
from fastdl.files import atomic_write, remove_leftovers
from fastdl.serialize import save

from .callbacks import Checkpoint
from .plots import plot_curves
from .progress import Progress

CONFIG, MODEL, METRICS = "config.json", "model.safetensors", "metrics.json"
CHECKPOINT = "checkpoint.safetensors"

# What every recipe takes; a recipe's DEFAULTS add the rest (epochs, batch_size, lr) and may set these otherwise.
_COMMON = {"seed": 0, "data_dir": None, "device": None, "steps": None}


class Run:
    """A training in its folder: its settings, its checkpoints, its results.

    Args:
        folder: what ``create_run`` or ``find_run`` gave.

    Attributes:
        folder: its ``Path``.
        config: dictionary of its settings: ``seed``, ``epochs``, ``batch_size``, ``lr``, ... and what ``record`` added.
        device: the ``fd.device`` to train on.

    Raises:
        FileNotFoundError, ValueError: it is no folder of a run, or its settings are damaged, or there is no such device.
        ImportError: a package that every run needs is missing.

    Example:
        >>> import tempfile
        >>> folder = create_run(tempfile.mkdtemp(), "first", {"recipe": "digits", "epochs": 3, "batch_size": 8, "lr": 0.1})
        >>> run = Run(folder)
        >>> run.config["epochs"], run.folder.name
        (3, 'first')
    """

    def __init__(self, folder):
        for module, purpose in (("sklearn", "scores of predictions"), ("matplotlib", "plots")):
            require(module, purpose)
        self.folder = Path(folder)
        self.config = read_config(folder, ("recipe", "epochs", "batch_size", "lr", *_COMMON))
        self.device = fd.get_default_device() if self.config["device"] is None else fd.device(self.config["device"])
        if self.device.type == "cuda" and not fd.cuda.is_available():
            raise ValueError(fd.cuda.why_unavailable())
        remove_leftovers(self.folder)  # of a run that was killed while it saved

    def record(self, **facts):
        """Add facts to ``config.json``: the model's sizes, the classes' names, whatever using the model needs."""
        self.config.update(facts)
        _write_json(self.config, self.folder / CONFIG)

    def total_steps(self, loader, epochs=None):
        """Batches that ``fit`` will take in all, for a schedule: epochs times the loader's, at most ``--steps``."""
        if len(loader) == 0:
            raise ValueError(
                f"the training data does not fill a batch of {self.config['batch_size']}: take a smaller one"
            )
        steps = (epochs or self.config["epochs"]) * len(loader)
        return steps if self.config["steps"] is None else min(steps, self.config["steps"])

    def fit(self, trainer, train_loader, valid_loader=None, part=None, epochs=None):
        """``trainer.fit`` with progress, checkpoints, and from the checkpoint if there is one.

        Args:
            trainer: a ``Trainer``.
            train_loader, valid_loader: as for ``Trainer.fit``.
            part: name of this training where a run has several; each has a checkpoint of its own, and one that is done
                is not done again.
            epochs: epochs in all; those of the settings if None.

        Returns:
            Whether the training is done; False if Ctrl-C interrupted it (``--resume`` goes on there).

        Raises:
            ValueError: the checkpoint is damaged, or not one of such a trainer.
        """
        checkpoint = self.folder / (CHECKPOINT if part is None else f"{part}.{CHECKPOINT}")
        if checkpoint.exists():
            trainer.load_checkpoint(checkpoint)
        trainer.callbacks += [Progress(), Checkpoint(checkpoint)]
        trainer.fit(train_loader, valid_loader, epochs or self.config["epochs"], self.config["steps"])
        return not trainer.interrupted

    def finish(self, model, history, valid="test", **results):
        """Write weights, learning curves and, last of all, ``metrics.json``: it marks a run that has ended.

        Args:
            model: the trained module; its weights go to ``model.safetensors``.
            history: the trainer's.
            valid: what the history's ``valid_`` values were measured on.
            **results: what was measured at the end; ``test=scores`` and the like.

        Returns:
            The metrics: ``results``, ``history``, ``seconds`` of training, the time of day.
        """
        metrics = {
            **results,
            "history": history,
            "seconds": sum(row["seconds"] for row in history),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        save(model.state_dict(), self.folder / MODEL)
        plot_curves(history, self.folder / "curves.png", valid)
        _write_json(metrics, self.folder / METRICS)
        for checkpoint in self.folder.glob(f"*{CHECKPOINT}"):
            checkpoint.unlink()
        return metrics


def create_run(out, name, settings):
    """Make the folder of a new run, with its ``config.json``.

    Args:
        out: folder of all runs; made if it is missing.
        name: the run's folder inside; if None, the recipe's name, with ``-2``, ``-3`` ... where that is taken.
        settings: dictionary with ``recipe``, ``epochs``, ``batch_size``, ``lr`` and any of ``seed``, ``data_dir``,
            ``device``, ``steps``, and whatever else the recipe reads.

    Returns:
        Path of the folder.

    Raises:
        ValueError: the name is taken, or is no plain name of a folder, or a setting is out of range.
        OSError: the folder cannot be made.

    Example:
        >>> import tempfile
        >>> create_run(tempfile.mkdtemp(), None, {"recipe": "digits", "epochs": 3, "batch_size": 8, "lr": 0.1}).name
        'digits'
    """
    config = {**_COMMON, **settings}
    for key in ("epochs", "batch_size", "lr", "steps"):
        if config[key] is not None and not config[key] > 0:
            raise ValueError(f"{key} must be positive, got {config[key]}")
    if not 0 <= config["seed"] < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1, got {config['seed']}")
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise ValueError(f"the name of a run must be the plain name of a folder, got {name!r}")
    Path(out).mkdir(parents=True, exist_ok=True)
    folder = _new_folder(Path(out), name, config["recipe"])
    config["fastdl"] = fd.__version__
    _write_json(config, folder / CONFIG)
    return folder


def discard_if_empty(folder):
    """Remove the folder of a run that failed before it saved anything: bad data, a missing package.

    Args:
        folder: what ``create_run`` gave.

    Example:
        >>> import tempfile
        >>> folder = create_run(tempfile.mkdtemp(), None, {"recipe": "digits", "epochs": 3, "batch_size": 8, "lr": 0.1})
        >>> discard_if_empty(folder)
        >>> folder.exists()
        False
    """
    if [path.name for path in folder.iterdir()] == [CONFIG]:
        (folder / CONFIG).unlink()
        folder.rmdir()


def find_run(out, name=None, recipe=None):
    """The folder of a run that has not ended.

    Args:
        out: folder of all runs.
        name: the run's folder inside; if None, the run that was saved last.
        recipe: without a name, only runs of this recipe.

    Raises:
        FileNotFoundError: there is no such run.
        ValueError: it has ended.

    Example:
        >>> import tempfile
        >>> out = tempfile.mkdtemp()
        >>> made = create_run(out, "first", {"recipe": "digits", "epochs": 3, "batch_size": 8, "lr": 0.1})
        >>> find_run(out) == made
        True
    """
    if name is None:
        saved = sorted(
            (max(file.stat().st_mtime_ns for file in folder.iterdir()), folder)
            for folder in (path.parent for path in Path(out).glob(f"*/{CONFIG}"))
            if not (folder / METRICS).exists() and recipe in (None, read_config(folder, ("recipe",))["recipe"])
        )
        if not saved:
            raise FileNotFoundError(f"there is no run {f'of {recipe} ' if recipe else ''}to resume in {out}")
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
        >>> folder = create_run(tempfile.mkdtemp(), None, {"recipe": "digits", "epochs": 3, "batch_size": 8, "lr": 0.1})
        >>> read_config(folder)["batch_size"]
        8
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
