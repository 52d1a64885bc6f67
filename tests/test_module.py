"""Module: registration, state, hooks, errors that name the module, copies."""

import copy
import pickle
import sys

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(fd.ones(2, 2))
        self.register_parameter("absent", None)
        self.register_buffer("total", fd.zeros(2))
        self.register_buffer("scratch", fd.zeros(3), persistent=False)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(x @ self.weight)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.classifier = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
        self.none = None

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)


def test_what_is_registered():
    net = Net()
    names = ["blocks.0.weight", "blocks.1.weight", "classifier.0.weight", "classifier.0.bias", "classifier.1.weight",
             "classifier.1.bias"]  # fmt: skip
    assert [n for n, _ in net.named_parameters()] == names
    assert [n for n, _ in net.named_buffers()] == [
        "blocks.0.total",
        "blocks.0.scratch",
        "blocks.1.total",
        "blocks.1.scratch",
    ]
    assert list(net.state_dict()) == [
        "blocks.0.weight",
        "blocks.0.total",
        "blocks.1.weight",
        "blocks.1.total",
        *names[2:],
    ]
    assert [n for n, _ in net.named_children()] == ["blocks", "classifier"]
    assert [n for n, _ in net.named_modules()][:3] == ["", "blocks", "blocks.0"]
    assert net.get_submodule("blocks.1") is net.blocks[1]
    assert net.get_parameter("blocks.1.weight") is net.blocks[1].weight
    assert net.get_buffer("blocks.1.total") is net.blocks[1].total
    for call in (
        lambda: net.get_submodule("blocks.7"),
        lambda: net.get_parameter("blocks.1.total"),
        lambda: net.missing,
    ):
        with pytest.raises(AttributeError):
            call()


def test_shared_modules_and_parameters_count_once():
    net = nn.Module()
    net.a = net.b = nn.Linear(2, 2)
    net.c = nn.Linear(2, 2)
    net.c.weight = net.a.weight
    assert [n for n, _ in net.named_parameters()] == ["a.weight", "a.bias", "c.bias"]
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == [
        "a.weight", "a.bias", "b.weight", "b.bias", "c.weight", "c.bias"
    ]  # fmt: skip
    assert len(list(net.modules())) == 3
    assert list(net.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias", "c.weight", "c.bias"]


def test_assignment_moves_between_registries():
    m = Block()
    m.act = nn.Parameter(fd.zeros(1))  # a module's name becomes a parameter's
    assert "act" in m._parameters
    assert "act" not in m._modules
    m.act = None
    assert m._parameters["act"] is None
    m.total = fd.ones(2)  # stays a buffer
    assert "total" in m.state_dict()
    m.counter = nn.Buffer(fd.zeros(1), persistent=False)
    assert "counter" in dict(m.named_buffers())
    assert "counter" not in m.state_dict()
    del m.weight
    assert list(m.state_dict()) == ["total"]
    with pytest.raises(TypeError):  # a silent write past the registry is not possible
        m._parameters["weight"] = nn.Parameter(fd.zeros(1))


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (TypeError, lambda m: setattr(m, "weight", fd.zeros(2))),
        (TypeError, lambda m: setattr(m, "act", 3)),
        (TypeError, lambda m: setattr(m, "total", 3)),
        (TypeError, lambda m: m.register_parameter("p", fd.zeros(2))),
        (TypeError, lambda m: m.register_buffer("p", 3)),
        (TypeError, lambda m: m.add_module("p", 3)),
        (KeyError, lambda m: m.register_parameter("a.b", None)),
        (KeyError, lambda m: m.register_buffer("", None)),
        (KeyError, lambda m: m.add_module("training", nn.ReLU())),
        (ValueError, lambda m: m.train(1)),
        (TypeError, lambda m: m.to(fd.int64)),
    ],
)
def test_wrong_assignments(error, action):
    m = Block()
    before = list(m.state_dict())
    with pytest.raises(error):
        action(m)
    assert list(m.state_dict()) == before


def test_registration_needs_init():
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(fd.zeros(1))

    with pytest.raises(AttributeError, match="before Module.__init__"):
        Early()


def test_parameters_are_leaves():
    x = fd.ones(2, requires_grad=True)
    assert nn.Parameter(x * 2).is_leaf
    assert not nn.Parameter(fd.ones(2), requires_grad=False).requires_grad
    with pytest.raises(RuntimeError):
        nn.Parameter(fd.zeros(2, dtype=fd.int64))


def test_load_state_dict_reports_everything_and_changes_nothing():
    net = Net()
    state = {name: fd.zeros_like(value) for name, value in net.state_dict().items()}
    del state["blocks.0.weight"]
    del state["classifier.1.bias"]
    state["classifier.0.weight"] = fd.zeros(5, 5)
    state["classifier.9.weight"] = fd.zeros(1)
    state["stranger"] = fd.zeros(1)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    for part in ("Net", "blocks.0.weight", "classifier.1.bias", "classifier.0.weight", "[5, 5]", "[3, 2]", "classifier.9.weight",
                 "stranger"):  # fmt: skip
        assert part in str(caught.value)
    assert all(float(p.abs().sum()) > 0 for p in net.parameters())

    state["classifier.0.weight"] = fd.zeros(3, 2)
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["blocks.0.weight", "classifier.1.bias"]
    assert sorted(result.unexpected_keys) == ["classifier.9.weight", "stranger"]
    assert float(net.classifier[0].weight.abs().sum()) == 0
    with pytest.raises(TypeError):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match="expected a"):
        net.load_state_dict({**net.state_dict(), "blocks.0.weight": 3})


def test_load_state_dict_copies_or_assigns():
    source, copied, assigned = Net(), Net(), Net()
    parameter = assigned.classifier[0].weight
    state = source.state_dict()
    copied.load_state_dict(state)
    assigned.load_state_dict(state, assign=True)
    with fd.no_grad():
        source.classifier[0].weight.fill_(7.0)
    assert float(copied.classifier[0].weight.abs().amax()) < 7
    assert float(assigned.classifier[0].weight.amin()) == 7
    assert assigned.classifier[0].weight is not parameter
    assert isinstance(assigned.classifier[0].weight, nn.Parameter)


def test_extra_state():
    class Counter(nn.Module):
        count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    a, b = nn.Sequential(Counter()), nn.Sequential(Counter())
    a[0].count = 5
    b.load_state_dict(a.state_dict())
    assert b[0].count == 5
    with pytest.raises(RuntimeError, match=r"0\._extra_state"):
        b.load_state_dict({})


def test_state_dict_hooks():
    m = Block()
    seen = []
    m.register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append("before save"))
    m.register_state_dict_post_hook(lambda module, state, prefix, metadata: state.update({prefix + "extra": 1}))
    state = nn.Sequential(m).state_dict()
    assert state["0.extra"] == 1
    m.register_load_state_dict_pre_hook(lambda module, state, prefix, *rest: state.pop(prefix + "extra"))
    m.register_load_state_dict_post_hook(lambda module, keys: seen.append(keys.missing_keys))
    nn.Sequential(m).load_state_dict(state)
    assert seen == ["before save", []]


def test_train_eval_apply_and_freeze():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["ReLU", "Block", "ReLU", "Block", "ModuleList", "Linear", "Linear", "Sequential", "Net"]
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_casts_keep_parameters_and_gradients():
    net = Net()
    net.register_buffer("count", fd.zeros(1, dtype=fd.int64))
    parameters = list(net.parameters())
    net(fd.ones(1, 2)).sum().backward()
    net.to(fd.float64)
    assert all(a is b for a, b in zip(parameters, net.parameters()))
    assert {p.dtype for p in parameters} == {p.grad.dtype for p in parameters} == {fd.float64}
    assert net.blocks[0].total.dtype == fd.float64
    assert net.count.dtype == fd.int64
    net.zero_grad()
    assert all(p.grad is None for p in parameters)
    net(fd.ones(1, 2, dtype=fd.float64)).sum().backward()  # the graph takes the new dtype
    assert parameters[0].grad.dtype == fd.float64
    net.zero_grad(set_to_none=False)
    assert float(parameters[0].grad.abs().sum()) == 0
    assert net.float().blocks[0].weight.dtype == fd.float32
    assert net.half().blocks[0].weight.dtype == fd.float16
    assert net.bfloat16().blocks[0].weight.dtype == fd.bfloat16
    assert net.double().cpu().blocks[0].weight.dtype == fd.float64


def test_forward_hooks():
    layer = nn.Linear(2, 2)
    x = fd.ones(1, 2)
    plain = layer(x)
    log = []
    first = layer.register_forward_pre_hook(lambda m, args: log.append("pre") or (args[0] * 2,))
    second = layer.register_forward_hook(lambda m, args, y: log.append("post") or y * 3)
    third = layer.register_forward_pre_hook(lambda m, args: log.append("prepended"), prepend=True)
    y = layer(x)
    assert log == ["prepended", "pre", "post"]
    expected = 3 * (2 * (plain - layer.bias) + layer.bias)
    assert float((y - expected).abs().amax()) < 1e-6
    for handle in (first, second, third):
        handle.remove()
        handle.remove()
    assert float((layer(x) - plain).abs().amax()) == 0

    class Scale(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor

    scale = Scale()
    scale.register_forward_pre_hook(lambda m, args, kwargs: (args, {"factor": kwargs["factor"] + 1}), with_kwargs=True)
    scale.register_forward_hook(lambda m, args, kwargs, y: y + kwargs["factor"], with_kwargs=True)
    assert scale(x, factor=2.0).tolist() == [[6.0, 6.0]]


def test_forward_hook_that_is_always_called():
    class Fails(nn.Module):
        def forward(self, x):
            raise KeyError("no")

    called = []
    m = Fails()
    m.register_forward_hook(lambda m, args, y: called.append("normal"))
    m.register_forward_hook(lambda m, args, y: called.append(y), always_call=True)
    with pytest.raises(KeyError):
        m(1)
    assert called == [None]


def test_full_backward_hooks():
    layer = nn.Linear(2, 1, bias=False)
    with fd.no_grad():
        layer.weight.fill_(3.0)
    seen = {}
    layer.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    handle = layer.register_full_backward_hook(
        lambda m, grad_input, grad_output: (
            seen.update(i=grad_input[0].tolist(), o=grad_output[0].tolist()) or (grad_input[0] * 10,)
        )
    )
    x = fd.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen == {"o": [[2.0]], "i": [[6.0, 6.0]]}
    assert x.grad.tolist() == [[60.0, 60.0]]
    assert layer.weight.grad.tolist() == [[2.0, 2.0]]

    handle.remove()
    no_input_grad = []
    layer.register_full_backward_hook(lambda m, grad_input, grad_output: no_input_grad.append(grad_input))
    layer(fd.ones(1, 2)).sum().backward()
    assert no_input_grad == [(None,)]


def test_errors_name_the_module():
    net = Net()
    net.classifier[1] = nn.Linear(784, 4)
    with pytest.raises(fd.ShapeError) as caught:
        net(fd.ones(1, 2))
    message = str(caught.value)
    assert message.endswith("in Net.classifier.1")
    assert message.count(" in Net") == 1
    assert "784" in message
    with pytest.raises(fd.ShapeError, match="in Linear$"):
        net.classifier[1](fd.ones(1, 2))

    class Plain(nn.Module):
        def forward(self, x):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine$"):  # only the library's own errors
        nn.Sequential(Plain())(1)


def test_copies():
    net = Net()
    x = fd.ones(1, 2)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(other(x).tolist(), net(x).tolist())
        assert {type(p) for p in other.parameters()} == {nn.Parameter}
        with fd.no_grad():
            other.classifier[0].weight.add_(1.0)
        assert not np.array_equal(other(x).tolist(), net(x).tolist())
    tied = nn.Module()
    tied.a, tied.b = nn.Linear(2, 2), nn.Linear(2, 2)
    tied.b.weight = tied.a.weight
    other = copy.deepcopy(tied)
    assert other.b.weight is other.a.weight
    assert other.a.weight is not tied.a.weight


def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (blocks): ModuleList(\n"
        "    (0-1): 2 x Block(\n"
        "      (act): ReLU()\n"
        "    )\n"
        "  )\n"
        "  (classifier): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "    (1): Linear(in_features=3, out_features=4, bias=True)\n"
        "  )\n"
        ")"
    )


def test_sequential_as_a_list():
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a, b)
    net.append(c)
    assert list(net) == [a, b, c]
    assert net[-1] is c
    assert list(net[1:]) == [b, c]
    net.insert(1, c)
    del net[0]
    assert [n for n, _ in net.named_children()] == ["0", "1"]  # c is in it twice
    assert list(net) == [c, b, c]
    assert net.pop(0) is c
    net[0] = a
    assert list(net + nn.Sequential(b)) == [a, c, b]
    assert len(net.extend([b])) == 3
    named = nn.Sequential({"x": a, "y": b})
    assert named.x is a
    with pytest.raises(IndexError):
        net[3]
    with pytest.raises(TypeError):
        nn.Sequential(3)


def test_module_and_parameter_dicts():
    modules = nn.ModuleDict({"a": nn.ReLU()})
    modules["b"] = nn.Tanh()
    modules.update([("c", nn.Sigmoid())])
    assert list(modules) == list(modules.keys()) == ["a", "b", "c"]
    assert "b" in modules
    assert modules.pop("b") is not None
    assert [n for n, _ in modules.items()] == ["a", "c"]
    with pytest.raises(KeyError):
        modules["b"]
    with pytest.raises(KeyError):
        modules["keys"] = nn.ReLU()

    parameters = nn.ParameterDict({"w": fd.ones(2)})
    parameters["v"] = nn.Parameter(fd.ones(3))
    assert list(parameters.state_dict()) == ["w", "v"]
    assert parameters.get("u") is None
    assert [tuple(v.shape) for v in parameters.values()] == [(2,), (3,)]
    assert "Parameter containing" in repr(parameters)


def test_parameter_list():
    values = nn.ParameterList([fd.ones(1), fd.ones(2)])
    values.append(fd.ones(3))
    assert [tuple(v.shape) for v in values] == [(1,), (2,), (3,)]
    assert list(values.state_dict()) == ["0", "1", "2"]
    assert tuple(values.pop().shape) == (3,)
    values[-1] = fd.ones(5)
    assert tuple(values[1].shape) == (5,)
    assert len(values[:1]) == 1
    with pytest.raises(IndexError):
        values[2]


def test_a_call_costs_little():
    """Reading a parameter does not go through Python code: __getattr__ would cost more than an op."""
    layer = nn.Linear(2, 2)
    assert "weight" in layer.__dict__
    assert not hasattr(nn.Module, "__getattr__")
    assert sys.getrefcount(layer) <= 2  # no cycles: memory is freed at once
