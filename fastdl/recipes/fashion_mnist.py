"""The classifier of ``digits.py`` on Fashion-MNIST: test accuracy above 0.91 after five epochs."""

from .digits import build_model, train

DEFAULTS = {
    "data": "fashion-mnist",
    "epochs": 5,
    "batch_size": 128,
    "lr": 0.01,
    "weight_decay": 0.01,
    "model": {"widths": [16, 32, 64], "pools": [True, True, True], "dropout": 0.25},
}

__all__ = ["DEFAULTS", "build_model", "train"]
