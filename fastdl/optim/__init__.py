"""Optimizers, with PyTorch's names: those that work element by element update all parameters in one pass of a kernel."""

from fastdl.optim import lr_scheduler
from fastdl.optim.adadelta import Adadelta
from fastdl.optim.adafactor import Adafactor
from fastdl.optim.adagrad import Adagrad
from fastdl.optim.adam import Adam, AdamW
from fastdl.optim.adamax import Adamax
from fastdl.optim.asgd import ASGD
from fastdl.optim.lbfgs import LBFGS
from fastdl.optim.lion import Lion
from fastdl.optim.muon import Muon
from fastdl.optim.nadam import NAdam
from fastdl.optim.optimizer import Optimizer
from fastdl.optim.radam import RAdam
from fastdl.optim.rmsprop import RMSprop
from fastdl.optim.rprop import Rprop
from fastdl.optim.sgd import SGD
from fastdl.optim.sparse_adam import SparseAdam
from fastdl.optim.stateless import swap_in_optimizer_params_and_state

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Muon", "NAdam",
    "Optimizer", "RAdam", "RMSprop", "Rprop", "SparseAdam", "lr_scheduler", "swa_utils", "swap_in_optimizer_params_and_state",
]  # fmt: skip


def __getattr__(name):
    if name == "swa_utils":  # loaded when used: its AveragedModel is a module
        from importlib import import_module

        return import_module("fastdl.optim.swa_utils")
    raise AttributeError(f"module 'fastdl.optim' has no attribute {name!r}")
