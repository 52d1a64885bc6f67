"""Model code written for PyTorch, unchanged but for its imports, against PyTorch: weights, outputs, gradients, a step."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

pytestmark = [pytest.mark.compare, pytest.mark.filterwarnings("ignore")]

FILES = ("torch_vision_models", "torch_sequence_models")
NAMES = [
    (file, name)
    for file in FILES
    for name in re.findall(r'^    "(\w+)": \(', (Path(__file__).parent / f"{file}.py").read_text(), re.M)
]


def executed(file, library):
    """The file's module with every `torch` in an import standing for `library`."""
    source = (Path(__file__).parent / f"{file}.py").read_text()
    source = re.sub(r"^import torch$", f"import {library} as torch", source, flags=re.M)
    source = re.sub(r"^(import|from) torch\b", rf"\1 {library}", source, flags=re.M)
    module = types.ModuleType(f"{file}_{library}")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(source, f"{file}.py", "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def modules(torch):
    return {(file, library): executed(file, library) for file in FILES for library in ("torch", "fastdl")}


def arrays(tensors):
    return {k: np.asarray(v.detach().numpy()) for k, v in tensors}


def evaluated(library, model, inputs):
    """Outputs, gradients of parameters and inputs, in float64."""
    inputs = [library.tensor(x) for x in inputs]
    for x in inputs:
        x.requires_grad_(x.is_floating_point())
    model.zero_grad()
    outputs = model(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = 0.0
    for o in outputs:
        weights = np.random.default_rng(o.numel()).standard_normal(tuple(o.shape))
        loss = loss + (o * library.tensor(weights)).sum()
    loss.backward()
    named = [*model.named_parameters(), *((f"input {i}", x) for i, x in enumerate(inputs))]
    grads = arrays((k, p.grad) for k, p in named if p.grad is not None)
    return arrays((f"output {i}", o) for i, o in enumerate(outputs)), grads


def close(ours, theirs):
    """Equal but for rounding, and for constants that PyTorch's gradients hold in float32 (hardsigmoid's 1 / 6)."""
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        scale = max(np.abs(value).max(initial=0.0), 1e-2)
        np.testing.assert_allclose(ours[name], value, rtol=1e-7, atol=1e-7 * scale, err_msg=name)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("file", "name"), NAMES)
def test_model(file, name, mode, torch, modules):
    models, steps = {}, {}
    for library in (torch, fd):
        make, inputs = modules[file, library.__name__].MODELS[name]
        library.manual_seed(0)
        models[library] = make().double().train(mode == "train")
    weights = arrays(models[torch].state_dict().items())
    result = models[fd].load_state_dict({k: fd.tensor(v) for k, v in weights.items()})
    assert list(result.missing_keys) == list(result.unexpected_keys) == []
    arguments = inputs(np.random.default_rng(1))
    theirs, ours = (evaluated(library, model, arguments) for library, model in models.items())
    close(ours[0], theirs[0])
    close(ours[1], theirs[1])
    for library, model in models.items():
        optimizer = library.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
        norm = library.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        steps[library] = arrays(model.state_dict().items()) | {"norm": np.asarray(float(norm))}
    close(steps[fd], steps[torch])
    if mode == "eval":
        return
    # And back: fastdl's weights in PyTorch's model.
    models[torch].load_state_dict({k: torch.tensor(v) for k, v in arrays(models[fd].state_dict().items()).items()})
    models[fd].eval(), models[torch].eval()
    close(evaluated(fd, models[fd], arguments)[0], evaluated(torch, models[torch], arguments)[0])


def test_generate(modules):
    """Sampling with top_k: same shape and range, tokens of the k most likely only."""
    module = modules["torch_sequence_models", "fastdl"]
    model = module.GPT(module.GPTConfig()).eval()
    out = model.generate(fd.tensor([[1, 2, 3]]), max_new_tokens=8, top_k=1)
    assert out.shape == (1, 11)
    assert out[0, :3].tolist() == [1, 2, 3]
    logits, _ = model(out[:, -9:-1], out[:, -8:])
    assert logits[0, -1].argmax().item() == out[0, -1].item()
