"""What of PyTorch's public names fastdl has: writes docs/parity.md.

    python tests/parity.py            writes the page
    python tests/parity.py --check    says whether the page is what would be written

Needs PyTorch, whose namespaces are looked at, not a list kept here. A name counts as there when fastdl has it in the
namespace of the same name; where both are written in Python, the names, order and defaults of the arguments are
compared too. What is left out on purpose has its reason in `LEFT_OUT`.
"""

import argparse
import importlib
import inspect
import sys
from fnmatch import fnmatch
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parity.md"

# Namespaces in the page's order: name below torch and fastdl, and what of it is compared.
NAMESPACES = (
    ("nn", "classes"),
    ("nn.functional", "functions"),
    ("nn.init", "functions"),
    ("nn.utils", "functions"),
    ("nn.utils.rnn", "all"),
    ("nn.utils.parametrize", "all"),
    ("nn.utils.parametrizations", "functions"),
    ("nn.utils.stateless", "functions"),
    ("nn.utils.prune", "all"),
    ("", "functions"),
    ("Tensor", "methods"),
    ("linalg", "functions"),
    ("fft", "functions"),
    ("special", "functions"),
    ("autograd", "all"),
    ("optim", "classes"),
    ("optim.lr_scheduler", "classes"),
    ("optim.swa_utils", "all"),
    ("utils.data", "classes"),
)
ELSEWHERE = {"utils.data": "data"}  # where fastdl keeps what PyTorch has in a namespace of another name

# Patterns of full names, and why they are not there.
LEFT_OUT = {
    "nn.Lazy*": "lazy modules take their sizes from the first input; here sizes are given",
    "nn.Uninitialized*": "part of lazy modules",
    "nn.functional.*scaled_*mm": "products in formats of one vendor's tensor cores",
    "nn.functional.grouped_mm": "grouped products of bfloat16, for GPUs",
    "*native_channel_shuffle": "an alias of channel_shuffle for one backend",
    "nn.functional.*_torch_function*": "how PyTorch dispatches to subclasses",
    "nn.functional.boolean_dispatch": "a helper of PyTorch's own",
    "nn.functional.assert_int_or_pair": "a helper of PyTorch's own",
    "*conv_tbc": "not in PyTorch's documentation",
    **dict.fromkeys(
        (
            f"nn.init.{name}"
            for name in (
                "constant",
                "dirac",
                "eye",
                "kaiming_normal",
                "kaiming_uniform",
                "normal",
                "orthogonal",
                "sparse",
                "uniform",
                "xavier_normal",
                "xavier_uniform",
            )
        ),
        "deprecated in PyTorch for the name with an underscore",
    ),
    **dict.fromkeys(
        (
            *("hspmm", "smm", "sspaddmm", "Tensor.smm", "Tensor.sspaddmm", "Tensor.coalesce", "Tensor.is_coalesced"),
            *("Tensor.col_indices", "Tensor.crow_indices", "Tensor.dense_dim", "Tensor.indices", "Tensor.values"),
            "autograd.enforce_grad_layout_policy",
        ),
        "sparse layouts",
    ),
    **dict.fromkeys(
        (
            *("fork", "wait", "import_ir_module*", "parse_ir", "parse_schema", "parse_type_comment"),
            *("merge_type_from_type_comment", "unify_type_list"),
        ),
        "parts of TorchScript",
    ),
    **dict.fromkeys(("cond", "while_loop"), "control flow for PyTorch's compiler; Python's if and while do"),
    **dict.fromkeys(
        ("compiled_with_cxx11_abi", "init_num_threads", "thread_safe_generator", "autograd.NestedIOFunction"),
        "a part of PyTorch's own machinery",
    ),
    "autograd.variable": "a module that imports Variable",
    "get_device_module": "there is one module for devices, fastdl.cuda",
    "hash_tensor": "its result is uint64, a dtype that is not here",
    "Tensor.short": "int16 is not among the dtypes",
    "*warn_always*": "warnings are Python's own, shown as its filters say",
    "Tensor.index": "first-class dimensions, of functorch",
    "Tensor.qscheme": "quantized dtypes",
    "Tensor.as_subclass": "ops return tensors, whatever subclass their arguments have",
    "Tensor.module_load": "how PyTorch loads states into subclasses of Tensor",
    "Tensor.to_padded_tensor": "nested tensors",
    "optim.lr_scheduler.Optimizer": "an import of that module; fastdl.optim.Optimizer",
    **dict.fromkeys(
        (
            *("utils.data.*DataPipe", "utils.data.DataChunk", "utils.data.functional_datapipe"),
            *("utils.data.guaranteed_datapipes_determinism", "utils.data.runtime_validation_disabled"),
        ),
        "data pipes, which PyTorch no longer develops",
    ),
    "*_copy": "functions of PyTorch's functionalization",
    "*sparse*": "sparse layouts",
    "*quantize*": "quantized dtypes",
    "*quantized*": "quantized dtypes",
    "*q_per_*": "quantized dtypes",
    "*q_scale": "quantized dtypes",
    "*q_zero_point": "quantized dtypes",
    "*int_repr": "quantized dtypes",
    "*fbgemm_*": "a backend of PyTorch's own",
    "*cudnn_*": "a backend of PyTorch's own",
    "*miopen_*": "a backend of PyTorch's own",
    "*mkldnn*": "a backend of PyTorch's own",
    "Tensor.chalf": "there is no complex number of 16-bit floats",
    "*deterministic*": "results are the same bits on any number of threads, always",
    "*autocast*": "fastdl.autocast is the interface",
    "*vulkan*": "a device of PyTorch's own",
    "*metal*": "a device of PyTorch's own",
    "*xpu*": "a device of PyTorch's own",
    "*hpu*": "a device of PyTorch's own",
    "*ipu*": "a device of PyTorch's own",
    "*mtia*": "a device of PyTorch's own",
    "*sym_*": "symbolic shapes of PyTorch's compiler",
    "compile": "fastdl.capture records a step and replays it",
    "export": "fastdl.onnx is the way out",
    "*vmap": "function transforms",
    "Tensor.names": "named tensors",
    "Tensor.*rename*": "named tensors",
    "Tensor.align_*": "named tensors",
    "Tensor.refine_names": "named tensors",
}


def members(torch, namespace, what):
    """The public names of one of PyTorch's namespaces, with their objects; None where PyTorch has no such namespace."""
    space = lookup(torch, namespace)
    if space is None:
        return None
    found = {}
    listed = getattr(space, "__all__", None)
    for name in listed if what == "all" and listed else dir(space):
        value = getattr(space, name, None)
        if name.startswith("_") or inspect.ismodule(value) or not belongs(value, what):
            continue
        found[name] = value
    return found


def belongs(value, what):
    """Whether an object is one of the namespace's own: not what its modules import."""
    module = getattr(value, "__module__", None) or ""
    own = module.startswith("torch") or module == ""
    if what == "classes":
        return inspect.isclass(value) and own and "typing" not in module
    if what == "methods":
        return bool(getattr(value, "__doc__", None))
    if what == "functions":
        return callable(value) and not inspect.isclass(value) and own and bool(getattr(value, "__doc__", None))
    return own and (callable(value) or inspect.isclass(value))


def lookup(library, namespace):
    """The module or class of a dotted name below a library, or None."""
    if not namespace:
        return library
    try:
        return importlib.import_module(f"{library.__name__}.{namespace}")
    except ImportError:
        value = library
        for part in namespace.split("."):
            value = getattr(value, part, None)
        return value


def signature(value, method=False):
    """Names and defaults of the arguments, without self; None where Python does not know them."""
    if inspect.isclass(value):
        value = value.__init__
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return None
    if method:
        parameters = parameters[1:]  # self, whatever its name
    return [(p.name, p.default) for p in parameters if p.name != "self"]


def difference(ours, theirs, method=False):
    """What differs between two signatures, or None: PyTorch's arguments must come first, with their defaults."""
    ours, theirs = signature(ours, method), signature(theirs, method)
    if ours is None or theirs is None:
        return None
    for (name, default), (wanted, expected) in zip(ours, theirs):
        if name != wanted:
            return f"`{name}` where PyTorch has `{wanted}`"
        same = default is expected or str(default).removeprefix("fastdl.") == str(expected).removeprefix("torch.")
        if not same and not (default == expected or (callable(default) and callable(expected))):
            return f"`{name}={default}`, PyTorch's default is `{expected}`"
    if len(ours) < len(theirs):
        return "without " + ", ".join(f"`{name}`" for name, _ in theirs[len(ours) :])
    return None


def reason(full_name):
    return next((why for pattern, why in LEFT_OUT.items() if fnmatch(full_name, pattern)), None)


def survey(torch, fastdl):
    """For each namespace: (name, there, differing, missing, left out by reason, fastdl's own)."""
    for namespace, what in NAMESPACES:
        theirs = members(torch, namespace, what)
        if theirs is None:
            continue
        place = ELSEWHERE.get(namespace, namespace)
        space = lookup(fastdl, place)
        there, differing, missing, left_out = [], {}, [], {}
        for name, value in sorted(theirs.items()):
            ours = getattr(space, name, None) if space is not None else None
            full_name = f"{namespace}.{name}" if namespace else name
            if ours is not None:
                there.append(name)
                if differs := difference(ours, value, what == "methods"):
                    differing[name] = differs
            elif why := reason(full_name):
                left_out.setdefault(why, []).append(name)
            else:
                missing.append(name)
        own = [
            name
            for name in getattr(space, "__all__", ())
            if not hasattr(lookup(torch, namespace), name) and callable(getattr(space, name, None))
        ]
        yield namespace, place, there, differing, missing, left_out, sorted(own)


def wrapped(names):
    return ", ".join(f"`{n}`" for n in names)


def page(torch, fastdl):
    """The text of docs/parity.md."""
    sections, table = [], []
    for namespace, place, there, differing, missing, left_out, own in survey(torch, fastdl):
        theirs, ours = (
            ".".join(filter(None, (library, n))) for library, n in (("torch", namespace), ("fastdl", place))
        )
        skipped = sum(map(len, left_out.values()))
        table.append(f"| `{theirs}` | {len(there)} | {len(differing)} | {len(missing)} | {skipped} | {len(own)} |")
        lines = [f"## `{theirs}` in `{ours}`", "", f"There ({len(there)}): {wrapped(there) or 'nothing'}."]
        if differing:
            lines += ["", f"With other arguments ({len(differing)}):", ""]
            lines += [f"- `{name}`: {what}" for name, what in differing.items()]
        if missing:
            lines += ["", f"Missing ({len(missing)}): {wrapped(missing)}."]
        if left_out:
            lines += ["", f"Left out ({skipped}):", ""]
            lines += [f"- {wrapped(names)}: {why}" for why, names in left_out.items()]
        if own:
            lines += ["", f"fastdl's own ({len(own)}): {wrapped(own)}."]
        sections.append("\n".join(lines))
    head = [
        f"# fastdl and PyTorch {torch.__version__.split('+')[0]}, name by name",
        "",
        "Written by `python tests/parity.py` from the namespaces of both; the tests compare what the names do.",
        "",
        "| namespace | there | with other arguments | missing | left out | fastdl's own |",
        "|---|---:|---:|---:|---:|---:|",
        *table,
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(sections) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if the page is out of date")
    arguments = parser.parse_args()
    import torch

    import fastdl

    text = page(torch, fastdl)
    if arguments.check:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit(f"{PAGE} is out of date: python tests/parity.py")
    else:
        PAGE.write_text(text)
        print(text.split("\n## ")[0])


if __name__ == "__main__":
    main()
