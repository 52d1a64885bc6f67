"""Training: the ``Trainer``, its callbacks, checkpoints, scores and plots."""

from .callbacks import Callback, Checkpoint, EarlyStopping
from .checkpoint import load_tree, save_tree
from .plots import plot_confusion, plot_curves, plot_images
from .progress import Progress
from .run import Run
from .scores import accuracy, class_scores, classification_scores, confusion
from .trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Progress",
    "Run",
    "Trainer",
    "accuracy",
    "class_scores",
    "classification_scores",
    "confusion",
    "load_tree",
    "plot_confusion",
    "plot_curves",
    "plot_images",
    "save_tree",
]
