"""nn.utils.prune: masks as PyTorch makes them, in training, state dicts and recorded steps."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn
from fastdl.nn.utils import prune


def net(library):
    library.manual_seed(0)
    nn = library.nn
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))


METHODS = {
    "l1": lambda p, m, lib: p.l1_unstructured(m[0], "weight", 0.3),
    "l1 count": lambda p, m, lib: p.l1_unstructured(m[3], "bias", 2),
    "l1 none": lambda p, m, lib: p.l1_unstructured(m[3], "weight", 0),
    "l1 all": lambda p, m, lib: p.l1_unstructured(m[3], "weight", 1.0),
    "l1 scores": lambda p, m, lib: p.l1_unstructured(
        m[3], "weight", 0.5, importance_scores=lib.arange(80.0).reshape(5, 16).cos()
    ),
    "l1 twice": lambda p, m, lib: [p.l1_unstructured(m[3], "weight", 0.3) for _ in range(2)],
    "slices": lambda p, m, lib: p.ln_structured(m[0], "weight", 0.5, n=2, dim=0),
    "slices of order inf": lambda p, m, lib: p.ln_structured(m[0], "weight", 1, n=float("inf"), dim=-1),
    "slices, entries": lambda p, m, lib: (
        p.ln_structured(m[0], "weight", 2, n=1, dim=1), p.l1_unstructured(m[0], "weight", 0.5)
    ),
    "entries, slices": lambda p, m, lib: (
        p.l1_unstructured(m[0], "weight", 0.5), p.ln_structured(m[0], "weight", 1, n=2, dim=0),
        p.ln_structured(m[0], "weight", 1, n=2, dim=0),
    ),
    "mask": lambda p, m, lib: p.custom_from_mask(m[3], "bias", lib.tensor([1, 0, 1, 0, 1])),
    "identity": lambda p, m, lib: p.identity(m[3], "weight"),
    "global": lambda p, m, lib: p.global_unstructured(
        ((m[0], "weight"), (m[3], "weight")), pruning_method=p.L1Unstructured, amount=0.4
    ),
    "global twice": lambda p, m, lib: [
        p.global_unstructured([(m[0], "weight"), (m[3], "weight")], p.L1Unstructured, amount=0.4) for _ in range(2)
    ],
    "global scores": lambda p, m, lib: p.global_unstructured(
        [(m[0], "bias"), (m[3], "bias")], p.L1Unstructured, {(m[3], "bias"): lib.zeros(5)}, amount=4
    ),
}  # fmt: skip


@pytest.mark.compare
@pytest.mark.parametrize("name", METHODS)
def test_as_in_torch(name, torch):
    from torch.nn.utils import prune as theirs

    models = {torch: net(torch), fd: net(fd)}
    models[fd].load_state_dict({k: fd.tensor(v.numpy()) for k, v in models[torch].state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    results = {}
    for library, method in ((torch, theirs), (fd, prune)):
        model = models[library]
        METHODS[name](method, model, library)
        out = model(library.tensor(x))
        (out * out).sum().backward()
        library.optim.SGD(model.parameters(), 0.1).step()
        again = model(library.tensor(x))
        results[library] = {
            "pruned": np.array(method.is_pruned(model)),
            **{k: v.numpy() for k, v in model.state_dict().items()},
            **{f"{k}.grad": p.grad.numpy() for k, p in model.named_parameters() if p.grad is not None},
            "out": out.detach().numpy(),
            "again": again.detach().numpy(),
        }
        for m in (model[0], model[3]):
            for parameter in ("weight", "bias"):
                if hasattr(m, f"{parameter}_orig"):
                    method.remove(m, parameter)
        results[library] |= {f"{k} at last": v.numpy() for k, v in model.state_dict().items()}
    ours, expected = results[fd], results[torch]
    assert sorted(ours) == sorted(expected)
    for k, v in expected.items():
        np.testing.assert_allclose(ours[k], v, rtol=1e-5, atol=1e-6, err_msg=k)


def test_random_methods_take_the_asked_number_of_what_is_left():
    layer = nn.Linear(8, 6)
    prune.random_unstructured(layer, "weight", amount=0.25)
    assert layer.weight_mask.sum().item() == 36
    prune.random_unstructured(layer, "weight", amount=0.5)
    assert layer.weight_mask.sum().item() == 18
    layer = prune.random_structured(nn.Linear(8, 6), "weight", amount=2, dim=0)
    assert sorted(layer.weight_mask.sum(1).tolist()) == [0.0, 0.0, 8.0, 8.0, 8.0, 8.0]
    prune.random_structured(layer, "weight", amount=1, dim=0)
    assert (layer.weight_mask.sum(1) == 8).sum().item() == 3


def test_containers_remember_the_methods():
    layer = prune.l1_unstructured(nn.Linear(8, 6), "weight", amount=0.25)
    container = prune.LnStructured.apply(layer, "weight", 1, 2, 0)
    assert isinstance(container, prune.PruningContainer) and len(container) == 2
    assert [type(m).__name__ for m in container] == ["L1Unstructured", "LnStructured"]
    assert container[1].dim == 0 and container._tensor_name == "weight"
    assert [n for n, _ in layer.named_parameters()] == ["bias", "weight_orig"]


def test_methods_of_ones_own():
    class Odd(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = nn.Linear(3, 2)
    Odd.apply(layer, "bias")
    assert layer.bias_mask.tolist() == [0, 1]
    assert Odd().prune(fd.ones(4)).tolist() == [0, 1, 0, 1]


def test_a_pruned_model_is_saved_and_recorded():
    model = net(fd)
    prune.l1_unstructured(model[3], "weight", amount=0.5)
    twin = net(fd)
    prune.identity(twin[3], "weight")
    twin.load_state_dict(model.state_dict())
    x = fd.ones(2, 3, 4, 4)
    assert twin(x).tolist() == model(x).tolist()
    optimizer = fd.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    recorded = fd.capture(step)
    losses = [recorded(x).item() for _ in range(3)]
    model.load_state_dict(twin.state_dict())
    np.testing.assert_allclose([step(x).item() for _ in range(3)], losses, rtol=1e-6)
    assert not bool(((model[3].weight != 0) & (model[3].weight_mask == 0)).any())


def test_errors_leave_the_module_alone():
    layer = nn.Linear(3, 2)
    for error, message, call in [
        (fd.ValueError, "amount 1.5", lambda: prune.l1_unstructured(layer, "weight", 1.5)),
        (fd.ValueError, "amount -1", lambda: prune.random_unstructured(layer, "weight", -1)),
        (fd.ValueError, "amount 9 of 6", lambda: prune.l1_unstructured(layer, "weight", 9)),
        (TypeError, "amount 'half'", lambda: prune.l1_unstructured(layer, "weight", "half")),
        (fd.ShapeError, r"at least 2 dimensions", lambda: prune.ln_structured(layer, "bias", 1, 2, 0)),
        (fd.IndexError, "dim 2 is out of range", lambda: prune.random_structured(layer, "weight", 1, 2)),
        (fd.ShapeError, r"mask \[3\], expected \[2\]", lambda: prune.custom_from_mask(layer, "bias", fd.ones(3))),
        (fd.ShapeError, r"importance_scores \[3\]", lambda: prune.l1_unstructured(layer, "bias", 1, fd.ones(3))),
        (ValueError, "pruning of 'weight' not found", lambda: prune.remove(layer, "weight")),
        (AttributeError, "gain", lambda: prune.identity(layer, "gain")),
        (TypeError, "structured", lambda: prune.global_unstructured(
            [(layer, "weight")], prune.LnStructured, amount=1, n=1)),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()
        assert sorted(layer.state_dict()) == ["bias", "weight"] and not prune.is_pruned(layer)
