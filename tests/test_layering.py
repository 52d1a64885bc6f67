"""Who may include and import whom (the table in docs/), and how long a file may be."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("core", "kernels", "cpu", "cuda", "autograd", "ops", "bind")
MAY_INCLUDE = {
    "core": {"core"},
    "kernels": {"kernels", "core"},
    "cpu": {"cpu", "kernels", "core"},
    "cuda": {"cuda", "kernels", "core"},
    "autograd": {"autograd", "core"},
    "ops": {"ops", "autograd", "kernels", "core"},
    "bind": {"bind", "ops", "autograd", "kernels", "core", "cpu"},
}
# Of the core, kernels see plain data and the thread pool; the binding sees of the CPU its levels.
CPU_CORE = {
    "core/dtype.h",
    "core/macros.h",
    "core/parallel.h",
    "core/philox.h",
    "core/view.h",
    "core/flush_denormals.h",
}
KERNELS_CORE = {"core/accelerator.h", "core/dtype.h", "core/macros.h", "core/philox.h", "core/view.h"}
BIND_CPU = {"cpu/backend.h"}
# Python modules that reach into the extension; the rest go through them.
USES_EXTENSION = {
    "tensor.py", "autograd.py", "captured.py", "cuda.py", "observe.py", "random.py", "dtypes.py",
    # the functions of the top level
    "allocation.py", "bessel.py", "complex_ops.py", "complex_tensor.py", "einsum.py", "elementwise.py", "functions.py", "inplace.py", "matrices.py", "ordering.py", "picking.py", "printing.py",
    "polynomials.py", "products.py", "rearrange.py", "reductions.py", "settings.py", "shaping.py", "special.py",
    "statistics.py", "storage.py",
    "nn/functional/*.py", "nn/module.py", "optim/*.py", "nn/utils/*.py", "amp/autocast_mode.py",
    "backends/*.py", "data/augment.py", "utils/checkpoint.py",
}  # fmt: skip

sources = sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in (".h", ".cpp", ".def", ".cu"))
modules = sorted((ROOT / "fastdl").rglob("*.py"))


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources, ids=name)
def test_includes(path):
    folder = path.relative_to(ROOT / "csrc").parts[0]
    text = path.read_text()
    for header in re.findall(r'^#include "([^"]+)"', text, re.M):
        assert header.split("/")[0] in MAY_INCLUDE[folder], f"{name(path)} includes {header}"
        if folder == "cpu" and header.startswith("core/"):
            assert header in CPU_CORE, f"{name(path)} includes {header}"
        if folder == "kernels" and header.startswith("core/"):
            assert header in KERNELS_CORE, f"{name(path)} includes {header}"
        if folder == "bind" and header.startswith("cpu/"):
            assert header in BIND_CPU, f"{name(path)} includes {header}"
    if folder != "bind":
        assert not re.search(r"^#include <(Python|pybind11)", text, re.M), f"{name(path)} sees Python"
    if folder in ("kernels", "core"):
        assert not re.search(r"^#include <\w*intrin\.h>", text, re.M) or path.name in (
            "flush_denormals.h",
            "spin_lock.h",
        ), f"{name(path)} uses intrinsics"


@pytest.mark.parametrize("path", sorted((ROOT / "csrc/cpu/kernels").glob("*.cpp")), ids=name)
def test_kernels_use_neither_stl_nor_intrinsics(path):
    text = path.read_text()
    for header in re.findall(r"^#include <([^>]+)>", text, re.M):
        assert header in ("cstdint", "cstddef", "cstring", "cmath", "limits", "type_traits"), (
            f"{name(path)} includes <{header}>"
        )
    assert not re.search(r"\b_mm\d*_\w+\(", text), f"{name(path)} uses intrinsics; they belong into csrc/cpu/simd"


def imports(path):
    """Modules that a file imports, as dotted names below fastdl ('_C', 'nn.functional'), at any depth."""
    package = ("fastdl", *path.relative_to(ROOT / "fastdl").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{a.name}" for a in node.names)


@pytest.mark.parametrize("path", modules, ids=name)
def test_imports(path):
    relative = path.relative_to(ROOT / "fastdl")
    found = {m for m in imports(path) if m.startswith("fastdl")}
    if not any(
        relative.match(pattern) and len(relative.parts) == len(Path(pattern).parts) for pattern in USES_EXTENSION
    ):
        assert not {m for m in found if m.startswith("fastdl._C")}, f"{relative} imports _C"
    if relative.parts[0] == "optim" and relative.name != "swa_utils.py":  # whose averaged model is a module
        assert not {m for m in found if m.startswith("fastdl.nn")}, f"{relative} imports nn"


def tracked():
    folders = [ROOT / f for f in ("csrc", "fastdl", "tests", "bench")]
    return [
        p
        for f in folders
        for p in f.rglob("*")
        if p.suffix in (".h", ".cpp", ".cu", ".py", ".def") and "__pycache__" not in p.parts
    ]


@pytest.mark.parametrize("path", sorted(tracked()), ids=name)
def test_files_are_short(path):
    text = path.read_text()
    lines = text.count("\n")
    if path.suffix == ".py":  # docstrings do not make a module long
        nodes = [
            n
            for n in ast.walk(ast.parse(text))
            if isinstance(n, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(n)
        ]
        lines -= sum(n.body[0].end_lineno - n.body[0].lineno + 1 for n in nodes)
    assert lines <= 800, f"{name(path)} has {lines} lines"
