"""The layer table against PyTorch: names, shapes, text, outputs, gradients, buffers and weights both ways.

In float64 to its rounding. In float32 our distance from PyTorch's float64 result is at most four times that of PyTorch's
float32 result, plus roundings of the largest element.
"""

import inspect

import numpy as np
import pytest
from layer_cases import CASES, floats

import fastdl as fd
from fastdl import nn

pytestmark = [pytest.mark.compare, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")]

# Classes that no row of the table can be about.
NOT_LAYERS = {
    "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential", "Container",  # test_module.py
    "RNNBase", "RNNCellBase",  # without a forward
    "DataParallel", "TransformerEncoder", "TransformerDecoder",  # take modules: below
    "CrossMapLRN2d",  # LocalResponseNorm here; PyTorch's never takes the first channel out of its sums again
}  # fmt: skip


def as_tensor(array, lib, dtype):
    if isinstance(array, (list, tuple)) and any(isinstance(a, np.ndarray) for a in array):
        return tuple(as_tensor(a, lib, dtype) for a in array)
    if not isinstance(array, np.ndarray):
        return array
    kind = {"b": "bool", "i": "int64"}.get(array.dtype.kind, dtype)
    return lib.tensor(np.ascontiguousarray(array).astype(kind)).reshape(array.shape)


def as_array(t):
    return np.array(t.detach().numpy(force=True), dtype=np.float64)


def flat(output):
    """The tensors in a module's output."""
    if isinstance(output, (list, tuple)):
        return [t for o in output for t in flat(o)]
    return [] if output is None else [output]


def rounded(array):
    """Values that float32 has too."""
    if isinstance(array, (list, tuple)):
        return type(array)(rounded(a) for a in array)
    if isinstance(array, np.ndarray) and array.dtype.kind == "f":
        return array.astype(np.float32).astype(np.float64)
    return array


def text_of(module):
    """The text, apart from what PyTorch calls its class of attention's output projection."""
    return repr(module).replace("NonDynamicallyQuantizableLinear", "Linear")


def made(lib, case, dtype):
    """The module in a dtype, its arguments' arrays made tensors."""
    name, arguments, options, _ = case
    layers = lib.nn
    arguments = [as_tensor(rounded(a), lib, dtype) for a in arguments]
    options = {k: as_tensor(rounded(v), lib, dtype) for k, v in options.items()}
    return getattr(layers, name)(*arguments, **options).to(getattr(lib, dtype))


def results(lib, module, inputs, dtype):
    """Outputs, gradients of their weighted sum for inputs and parameters, and buffers."""
    tensors = [as_tensor(rounded(x), lib, dtype) for x in inputs]
    leaves = [t for t in flat(tensors) if isinstance(t, lib.Tensor) and t.dtype.is_floating_point]
    if isinstance(module, (lib.nn.HingeEmbeddingLoss, lib.nn.SoftMarginLoss)):
        leaves.pop()  # PyTorch has no gradient of these targets
    for leaf in leaves:
        leaf.requires_grad_()
    outputs = flat(module(*tensors))
    module.zero_grad()
    pairs = [(o, floats(*o.shape, seed=3)) for o in outputs if o.requires_grad]
    if pairs:
        sum((o * as_tensor(np.array(w), lib, dtype)).sum() for o, w in pairs).backward()
    found = [o.detach() for o in outputs] + [leaf.grad for leaf in leaves]
    found += [p.grad for _, p in module.named_parameters()] + list(module.buffers())
    return [None if t is None else as_array(t) for t in found]


def case_id(case):
    name, arguments, options, inputs = case
    show = lambda v: f"array{list(v.shape)}" if isinstance(v, np.ndarray) else str(v)
    text = ",".join([*map(show, arguments), *(f"{k}={show(v)}" for k, v in options.items())])
    return f"{name}({text}) {'x'.join(map(str, inputs[0].shape))}"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_as_torch(case, torch):
    inputs = case[3]
    ours, theirs = made(fd, case, "float64"), made(torch, case, "float64")
    assert text_of(ours) == text_of(theirs)
    state = theirs.state_dict()
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in state.items()
    ]
    assert [k for k, _ in ours.named_parameters()] == [k for k, _ in theirs.named_parameters()]
    rng = np.random.default_rng(0)
    given = {"weight", "pos_weight", "_random_samples"} & set(case[2]) | ({"weight"} if not ours._parameters else set())
    for name, value in state.items():  # also what starts as zeros and ones
        if value.is_floating_point() and name not in given:
            value.copy_(torch.from_numpy(rounded(rng.uniform(0.2, 0.8, tuple(value.shape)))))
    arrays = {k: v.numpy(force=True).copy() for k, v in state.items()}
    single, single_theirs = made(fd, case, "float32"), made(torch, case, "float32")
    for module in (ours, single):
        module.load_state_dict({k: fd.tensor(v).to(module.state_dict()[k].dtype) for k, v in arrays.items()})
    for module, source in ((theirs, ours), (single_theirs, single)):  # and back
        module.load_state_dict(
            {k: torch.from_numpy(v.numpy(force=True).copy()) for k, v in source.state_dict().items()}
        )

    for training in (True, False):
        found = []
        for lib, module, dtype in (
            (fd, ours, "float64"), (torch, theirs, "float64"), (fd, single, "float32"), (torch, single_theirs, "float32"),
        ):  # fmt: skip
            found.append(results(lib, module.train(training), inputs, dtype))
        assert len({len(f) for f in found}) == 1
        for a, b, a32, b32 in zip(*found):
            if a is None or b is None:
                assert a is None and b is None, "a gradient is missing"
                continue
            assert a.shape == b.shape == a32.shape
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
            finite = np.isfinite(b)
            scale = np.abs(b[finite]).max(initial=1.0)
            error, theirs_error = (np.abs(x - b)[finite].max(initial=0.0) for x in (a32, b32))
            assert error <= 4 * theirs_error + 64 * 2.0**-23 * scale


RANDOM = list({case[0]: case for case in reversed(CASES)}.values())  # one of each class


@pytest.mark.parametrize("case", RANDOM, ids=case_id)
def test_initial_values_have_pytorch_s_distribution(case, torch):
    """Over many constructions: the two-sample test of Kolmogorov and Smirnov, or the same constants."""
    drawn = {}
    for lib in (fd, torch):
        lib.manual_seed(1)
        states = [made(lib, case, "float64").state_dict() for _ in range(80)]
        for name in states[0]:
            drawn.setdefault(name, []).append(
                np.sort(np.concatenate([s[name].numpy(force=True).reshape(-1) for s in states]))
            )
    for name, (ours, theirs) in drawn.items():
        places = np.concatenate([ours, theirs])
        share = lambda x, places=places: np.searchsorted(x, places, side="right") / max(len(x), 1)
        distance = np.abs(share(ours) - share(theirs)).max(initial=0.0)
        constant = len(theirs) == 0 or theirs[0] == theirs[-1]
        bound = 0.0 if constant else 2.2 * np.sqrt(2 / len(theirs))
        assert distance <= bound, f"{name}: the distributions differ by {distance:.3g}, expected at most {bound:.3g}"


def test_table_has_every_layer(torch):
    tested = {case[0] for case in CASES} | NOT_LAYERS
    layers = {
        n for n in nn.__all__
        if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Module) and hasattr(torch.nn, n)
    }  # fmt: skip
    assert layers <= tested, sorted(layers - tested)


def test_constructors_as_torch(torch):
    """The names, order and defaults of every layer's arguments."""

    def arguments(cls):
        return [(p.name, p.default) for p in inspect.signature(cls.__init__).parameters.values()][1:]

    for name in nn.__all__:
        ours = getattr(nn, name)
        if not (isinstance(ours, type) and issubclass(ours, nn.Module) and hasattr(torch.nn, name)) or name == "Module":
            continue
        expected = arguments(getattr(torch.nn, name))
        if expected and expected[0][0] == "args":
            continue  # typed overloads say nothing
        assert [n for n, _ in arguments(ours)] == [n for n, _ in expected], name
        for (n, a), (_, b) in zip(arguments(ours), expected):
            assert a == b or callable(a), f"{name}: {n}"


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_transformer_stacks(kind, torch):
    """With a last norm, and the masks that the layers get."""
    stacks = []
    for lib in (fd, torch):
        layer = getattr(lib.nn, f"Transformer{kind}Layer")(6, 2, 8, 0.0)
        stacks.append(getattr(lib.nn, f"Transformer{kind}")(layer, 2, lib.nn.LayerNorm(6)).to(lib.float64))
    ours, theirs = stacks
    ours.load_state_dict({k: fd.tensor(v.numpy(force=True)) for k, v in theirs.state_dict().items()})
    mask = np.triu(np.full((5, 5), -np.inf), 1)
    inputs = (floats(5, 3, 6), mask) if kind == "Encoder" else (floats(5, 3, 6), floats(4, 3, 6, seed=1), mask)
    for a, b in zip(*(results(lib, m, inputs, "float64") for lib, m in ((fd, ours), (torch, theirs)))):
        if a is not None and b is not None and np.isfinite(b).all():
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True, "num_layers": 2}, {"batch_first": True}, {"proj_size": 2}]
)
@pytest.mark.parametrize("lengths", [[5, 4, 4, 1], [2, 5, 1, 3]])
@pytest.mark.parametrize("state", [False, True])
def test_packed_sequences(name, options, lengths, state, torch):
    if "proj_size" in options and name != "LSTM":
        return
    found = []
    theirs = getattr(torch.nn, name)(3, 4, **options).double()
    ours = getattr(nn, name)(3, 4, **options).double()
    ours.load_state_dict({k: fd.tensor(v.numpy(force=True)) for k, v in theirs.state_dict().items()})
    count = 4 if options.get("bidirectional") else 1
    for lib, module in ((fd, ours), (torch, theirs)):
        rnn = lib.nn.utils.rnn
        first = options.get("batch_first", False)
        x = as_tensor(floats(*((4, 5, 3) if first else (5, 4, 3))), lib, "float64").requires_grad_()
        packed = rnn.pack_padded_sequence(
            x, lengths, batch_first=first, enforce_sorted=lengths == sorted(lengths)[::-1]
        )
        states = [as_tensor(floats(count, 4, options.get("proj_size", 4), seed=5), lib, "float64")]
        if name == "LSTM":
            states.append(as_tensor(floats(count, 4, 4, seed=6), lib, "float64"))
        y, h = module(packed, *([tuple(states) if name == "LSTM" else states[0]] if state else []))
        padded, sizes = rnn.pad_packed_sequence(y, batch_first=first, padding_value=-1.0, total_length=6)
        assert sizes.tolist() == lengths
        outputs = [padded, *flat(h)]
        sum((o * as_tensor(floats(*o.shape, seed=9), lib, "float64")).sum() for o in outputs).backward()
        assert packed.batch_sizes.tolist() == y.batch_sizes.tolist()
        found.append([as_array(t) for t in (packed.data, *outputs, x.grad, *(p.grad for p in module.parameters()))])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def test_sequences_as_torch(torch):
    """pad, pack and their inverses."""
    for lib in (fd, torch):
        rnn = lib.nn.utils.rnn
        sequences = [lib.tensor(floats(n, 2, seed=n)) for n in (2, 4, 1)]
        packed = rnn.pack_sequence(sequences, enforce_sorted=False)
        assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
        assert packed.sorted_indices.tolist() == [1, 0, 2]
        assert packed.unsorted_indices.tolist() == [1, 0, 2]
        assert [s.tolist() for s in rnn.unpack_sequence(packed)] == [s.tolist() for s in sequences]
        left = rnn.pad_sequence(sequences, batch_first=True, padding_value=7.0, padding_side="left")
        assert left[0, :2].tolist() == [[7.0, 7.0]] * 2
        assert [s.tolist() for s in rnn.unpad_sequence(rnn.pad_sequence(sequences), lib.tensor([2, 4, 1]))] == [
            s.tolist() for s in sequences
        ]
