"""The examples in the docstrings of the public modules."""

import doctest
import importlib
import pkgutil

import pytest

import fastdl
from fastdl import nn
from fastdl.nn import functional

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Whose examples show the CPU: its memory, its dtypes under autocast, captured steps, training on it.
ON_THE_CPU = {"fastdl.amp.autocast_mode", "fastdl.captured", "fastdl.functions", "fastdl.train.run"}


def modules():
    names = [m.name for m in pkgutil.walk_packages(fastdl.__path__, "fastdl.")]
    skipped = ("fastdl._C", "fastdl._cuda", "fastdl.__main__", "fastdl.bench")
    names = ["fastdl", *(n for n in names if not n.startswith(skipped))]
    return [pytest.param(n, marks=[pytest.mark.cpu] * (n in ON_THE_CPU)) for n in names]


@pytest.mark.parametrize("name", modules())
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fastdl.manual_seed(0)
    module = importlib.import_module(name)
    names = {"fd": fastdl, "nn": nn, "F": functional}
    failed, _ = doctest.testmod(module, extraglobs=names, optionflags=FLAGS)
    assert failed == 0


def test_public_functions_are_documented():
    missing = [
        f"fastdl.{n}"
        for n in dir(fastdl)
        if not n.startswith("_") and callable(getattr(fastdl, n)) and not getattr(fastdl, n).__doc__
    ]
    missing += [
        f"F.{n}"
        for n in dir(functional)
        if not n.startswith("_") and callable(getattr(functional, n)) and not getattr(functional, n).__doc__
    ]
    assert not missing
