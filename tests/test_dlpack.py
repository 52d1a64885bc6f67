"""Memory shared with other libraries: DLPack in both directions, the buffer protocol, __array__, CUDA arrays."""

import ctypes
import gc
import hashlib
import weakref

import numpy as np
import pytest

import fastdl as fd
from fastdl import _C

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool"]
LAYOUTS = {
    "row": lambda x: x,
    "column": lambda x: x.T,
    "step": lambda x: x[::2, 1:],
    "one": lambda x: x[1, 2],
    "empty": lambda x: x[:0],
}


def sample(dtype):
    return np.arange(12).reshape(4, 3).astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_both_ways(dtype, layout):
    expected = LAYOUTS[layout](sample(dtype))
    x = LAYOUTS[layout](fd.from_numpy(sample(dtype)))
    shared = np.from_dlpack(x)
    assert shared.dtype == expected.dtype
    assert shared.strides == expected.strides or shared.size < 2
    np.testing.assert_array_equal(shared, expected)
    if expected.ndim:  # NumPy gives a scalar otherwise
        back = fd.from_dlpack(expected)
        assert back.dtype.name == dtype
        assert back.tolist() == expected.tolist()
        assert back.numel() == 0 or back.data_ptr() == expected.ctypes.data


@pytest.mark.cpu
def test_memory_is_shared_and_outlives_its_maker():
    x = fd.zeros(3)
    y = np.from_dlpack(x)
    x[1] = 5
    assert y.tolist() == [0, 5, 0]
    del x
    gc.collect()
    assert y.tolist() == [0, 5, 0]
    base = np.zeros(3)
    gone = weakref.ref(base)
    z = fd.from_dlpack(base)
    del base
    gc.collect()
    assert gone() is not None
    z += 1
    assert z.tolist() == [1, 1, 1]
    del z
    gc.collect()
    assert gone() is None


@pytest.mark.cpu
def test_bfloat16_goes_around():
    x = fd.tensor([1.0, 2.5]).to(fd.bfloat16)
    y = fd.from_dlpack(x)
    assert y.dtype == fd.bfloat16
    assert y.data_ptr() == x.data_ptr()
    with pytest.raises(BufferError, match="bfloat16"):
        memoryview(x)


def test_read_only_memory_is_copied():
    base = np.arange(3.0)
    base.flags.writeable = False
    x = fd.from_dlpack(base)
    x.zero_()
    assert base.tolist() == [0, 1, 2]


@pytest.mark.cpu
def test_versions_and_copies():
    x = fd.ones(2)
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 1)))
    for older in (None, (0, 8)):
        assert '"dltensor"' in repr(x.__dlpack__(max_version=older))
    copied = fd.from_dlpack(x.__dlpack__(max_version=(1, 0), copy=True))
    assert copied.data_ptr() != x.data_ptr()
    assert copied.tolist() == x.tolist()
    assert x.__dlpack_device__() == (1, 0)

    class Old:
        """A producer of before version 1."""

        def __dlpack__(self, stream=None):
            return x.__dlpack__()

    assert fd.from_dlpack(Old()).data_ptr() == x.data_ptr()


@pytest.mark.cpu
def test_capsules_are_taken_once_and_freed():
    gc.collect()
    blocks = fd.memory_stats()["blocks_in_use"]
    x = fd.ones(1000)
    capsule = x.__dlpack__(max_version=(1, 0))
    y = fd.from_dlpack(capsule)
    with pytest.raises(ValueError, match="once only"):
        fd.from_dlpack(capsule)
    unused = x.__dlpack__()
    del x, y, capsule, unused
    gc.collect()
    assert fd.memory_stats()["blocks_in_use"] == blocks


@pytest.mark.cpu
def test_what_is_refused():
    x = fd.ones(2)
    with pytest.raises(BufferError, match="detach"):
        fd.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="device"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="stream"):
        x.__dlpack__(stream=1)
    with pytest.raises(TypeError, match="__dlpack__"):
        fd.from_dlpack([1.0])
    with pytest.raises(fd.DTypeError, match="code 1, 16 bits"):
        fd.from_dlpack(np.zeros(2, np.uint16))
    with pytest.raises(ValueError, match="negative strides"):
        fd.from_dlpack(np.arange(3.0)[::-1])


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32), ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64),
    ]  # fmt: skip


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", _Tensor),
    ]  # fmt: skip


def foreign(**changes):
    """A capsule as another library would fill it in: two float32 in the middle of their memory, no strides."""
    memory, shape = (ctypes.c_float * 4)(0, 1, 2, 3), (ctypes.c_int64 * 2)(1, 2)
    made = _Versioned(major=1)
    made.tensor = _Tensor(ctypes.addressof(memory), 1, 0, 2, 2, 32, 1, shape, None, 4)
    for name, value in changes.items():
        setattr(made if name in ("major", "flags") else made.tensor, name, value)
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule = new(ctypes.addressof(made), b"dltensor_versioned", None)
    return capsule, (made, memory, shape)


def test_byte_offset_and_missing_strides():
    capsule, _keep = foreign()
    assert fd.from_dlpack(capsule).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"major": 2}, ValueError, "version 2"),
        ({"device_type": 7}, fd.DeviceError, "device type 7"),
        ({"device_type": 2}, fd.DeviceError, "device cuda is not available|is the host's"),
        ({"ndim": 99}, fd.ShapeError, "99 dimensions"),
        ({"lanes": 4}, fd.DTypeError, "4 lanes"),
        ({"offset": 2}, ValueError, "not aligned"),
    ],
)
def test_structs_that_are_refused(changes, error, message):
    capsule, _keep = foreign(**changes)
    with pytest.raises(error, match=message):
        fd.from_dlpack(capsule)


@pytest.mark.cpu
def test_buffers_for_plain_consumers():
    x = fd.arange(6, dtype=fd.int32).reshape(2, 3)
    assert bytes(x) == np.arange(6, dtype=np.int32).tobytes()
    assert memoryview(x).shape == (2, 3)
    column = fd.arange(6).reshape(2, 3).t()
    assert bytes(column) == np.arange(6).reshape(2, 3).T.tobytes()
    np.testing.assert_array_equal(np.asarray(column), np.arange(6).reshape(2, 3).T)
    with pytest.raises(BufferError, match="strides"):
        hashlib.sha256(fd.arange(6).reshape(3, 2)[:, :1])


@pytest.mark.cpu
def test_array_protocol():
    x = fd.arange(3)
    assert np.asarray(x).ctypes.data == x.data_ptr()
    copied = np.array(x)
    copied[0] = 9
    assert x.tolist() == [0, 1, 2]
    assert np.asarray(x, dtype=np.float32).dtype == np.float32


@pytest.mark.cpu
def test_cuda_arrays_are_for_cuda_tensors():
    assert not hasattr(fd.ones(2), "__cuda_array_interface__")


@pytest.mark.cpu
def test_torch_both_ways(torch):
    x = torch.arange(6.0, dtype=torch.bfloat16).reshape(2, 3).t()
    y = fd.from_dlpack(x)
    assert (y.dtype, y.stride(), y.data_ptr()) == (fd.bfloat16, (1, 3), x.data_ptr())
    assert torch.from_dlpack(y).data_ptr() == x.data_ptr()
    assert torch.from_dlpack(fd.zeros(0, 3)).shape == (0, 3)


def test_observer_sees_calls_and_their_defaults():
    seen = []
    before = _C.set_observer(lambda name, arguments, result: seen.append((name, arguments, result)))
    try:
        x = fd.ones(2, 2)
        y = x + 1
        z = y.softmax(dim=0)
        z[0] = 2.0
    finally:
        _C.set_observer(before)
    names = [name for name, _, _ in seen]
    assert names == ["full", "add", "softmax", "setitem"]
    assert seen[1][1] == (x, 1) or seen[1][1][0] is x
    assert seen[2][1][0] is y and seen[2][1][1] == 0 and seen[2][2] is z
