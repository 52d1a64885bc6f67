"""Training: the ``Trainer``, its callbacks, checkpoints, scores and plots."""

from .callbacks import Callback, Checkpoint, EarlyStopping
from .checkpoint import load_tree, save_tree
from .plots import plot_confusion, plot_curves
from .progress import Progress
from .scores import accuracy, classification_scores
from .trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Progress",
    "Trainer",
    "accuracy",
    "classification_scores",
    "load_tree",
    "plot_confusion",
    "plot_curves",
    "save_tree",
]
