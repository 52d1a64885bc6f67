"""Every row of the op table against PyTorch: values, dtypes and gradients. Marker `compare`; skipped without torch."""

import numpy as np
import pytest
from harness import EPSILON, arguments, array, cast, is_value, listed, prepared, tensor
from opdb import ROWS
from opdb_row import FLOATS, Random, resolve

import fastdl as fd

pytestmark = [pytest.mark.compare, pytest.mark.filterwarnings("ignore")]


def torch_tensor(torch, a, dtype):
    if not is_value(a):
        return torch.tensor(a.copy())
    return torch.tensor(np.array(cast(a, dtype))).to(getattr(torch, dtype))


def torch_array(torch, t):
    t = t.detach()
    return (t.float() if t.dtype == torch.bfloat16 else t).contiguous().numpy(force=True)


def leaves_of(args, is_tensor, row):
    found = []
    for i, a in enumerate(args):
        for x in a if isinstance(a, (list, tuple)) else [a]:
            if is_tensor(x) and x.dtype.is_floating_point and i not in row.nograd:
                x.requires_grad_(True)
                found.append(x)
    return found


def run(library, row, sample, make, is_tensor, weigh):
    """Results and gradients of their weighted sum."""
    args, kwargs = arguments(sample, make)
    leaves = leaves_of([*args, *kwargs.values()], is_tensor, row) if row.grad else []
    if row.inplace:
        args[0] = args[0].clone()
    outputs = listed(resolve(library, row)(*args, **kwargs))
    recorded = [(o, w) for o, w in zip(outputs, weigh(outputs)) if o.requires_grad]
    if not recorded:
        return outputs, []
    total = sum((o * w).sum() for o, w in recorded)
    return outputs, library.autograd.grad(total, leaves, allow_unused=True)


@pytest.mark.parametrize("row", [pytest.param(r, id=r.name) for r in ROWS.values() if r.torch])
def test_as_in_torch(row, torch):
    for dtype in row.dtypes:
        for sample, truth, *_ in prepared(row, dtype):
            note = f"{row.name} {sample} {dtype}"
            r = Random(note)
            weights = [r(*t.shape) for t in truth]
            try:
                theirs, their_grads = run(
                    torch,
                    row,
                    sample,
                    lambda a, d=dtype: torch_tensor(torch, a, d),
                    torch.is_tensor,
                    lambda outs, w=weights: [
                        torch_tensor(torch, x, o.dtype.__str__().split(".")[1]) if o.dtype.is_floating_point else None
                        for x, o in zip(w, outs)
                    ],
                )
            except (RuntimeError, NotImplementedError):
                continue  # PyTorch does not take this dtype on the CPU
            ours, our_grads = run(
                fd,
                row,
                sample,
                lambda a, d=dtype: tensor(a, d),
                fd.is_tensor,
                lambda outs, w=weights: [
                    tensor(x, o.dtype.name) if o.dtype.is_floating_point else None for x, o in zip(w, outs)
                ],
            )
            assert len(ours) == len(theirs), note
            for a, b in zip(ours, theirs):
                assert a.dtype.name == str(b.dtype).split(".")[1], f"{note}: {a.dtype}, PyTorch gives {b.dtype}"
                close(array(a), torch_array(torch, b), dtype, 1, note)
            assert len(our_grads) == len(their_grads), note
            for i, (a, b) in enumerate(zip(our_grads, their_grads)):
                assert (a is None) == (b is None), (
                    f"{note}: gradient {i}: ours {a is None}, PyTorch's {b is None} to be None"
                )
                if a is not None:
                    close(array(a), torch_array(torch, b), dtype, 16, f"{note}: gradient {i}")


def close(ours, theirs, dtype, factor, note):
    """Two computations of the same thing: as close as two orders of summation of
    terms of size one are. (Accuracy is judged in test_ops; some of
    PyTorch's float64 gradients hold constants in float32.)"""
    assert ours.shape == theirs.shape, f"{note}: shape {ours.shape}, PyTorch's {theirs.shape}"
    if ours.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs, err_msg=note)
        return
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    finite = theirs[np.isfinite(theirs)]
    scale = np.abs(finite).max() if finite.size else 1.0
    eps = EPSILON.get(dtype if dtype in FLOATS else "float32")
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-7 if factor > 1 else 0, atol=32 * factor * eps * max(scale, 0.1), err_msg=note
    )
