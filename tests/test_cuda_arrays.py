"""Memory shared with other libraries on a GPU: DLPack and __cuda_array_interface__, both ways, with the order of streams."""

import ctypes
import gc
import weakref

import numpy as np
import pytest

import fastdl as fd

pytestmark = pytest.mark.skipif(fd.get_default_device().type != "cuda", reason="needs FASTDL_CUDA=sim or gpu")

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool"]
LAYOUTS = {
    "row": lambda x: x,
    "column": lambda x: x.t(),
    "step": lambda x: x[::2, 1:],
    "one": lambda x: x[1, 2],
    "empty": lambda x: x[:0],
}


class Array:
    """What another library shows of an array on a GPU, over a tensor's memory; `changes` of its description."""

    def __init__(self, tensor, **changes):
        self.tensor, self.streams = tensor, []
        self.__cuda_array_interface__ = {**tensor.__cuda_array_interface__, **changes}

    def __dlpack__(self, *, stream=None, max_version=None):
        self.streams.append(stream)
        return self.tensor.__dlpack__(stream=stream, max_version=max_version)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


def sample(dtype="float32"):
    return fd.arange(12).reshape(4, 3).to(dtype=getattr(fd, dtype))


@pytest.mark.parametrize("take", [fd.as_tensor, fd.asarray, fd.from_dlpack])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_is_shared(take, layout, dtype):
    x = LAYOUTS[layout](sample(dtype))
    y = take(Array(x))
    assert (y.dtype, y.shape, y.device) == (x.dtype, x.shape, x.device)
    assert y.numel() == 0 or y.data_ptr() == x.data_ptr()
    assert y.numel() < 2 or y.stride() == x.stride()
    assert y.tolist() == x.tolist()
    if y.numel():
        y.fill_(1)
        assert x.tolist() == y.tolist()


def test_the_description_of_a_view():
    x = sample()[1:, 1:]
    described = x.__cuda_array_interface__
    assert described == {
        "version": 3, "shape": (3, 2), "typestr": "<f4", "data": (x.data_ptr(), False), "strides": (12, 4), "stream": 1,
    }  # fmt: skip
    assert fd.ones(2).__cuda_array_interface__["strides"] is None
    assert fd.ones(0).__cuda_array_interface__["data"] == (0, False)
    assert not hasattr(fd.ones(2, device="cpu"), "__cuda_array_interface__")
    with pytest.raises(AttributeError, match="bfloat16; use DLPack"):
        _ = fd.ones(2, dtype=fd.bfloat16).__cuda_array_interface__
    with pytest.raises(fd.Error, match="detach"):
        _ = fd.ones(2, requires_grad=True).__cuda_array_interface__


def test_copies_where_they_are_asked_for():
    x = sample()
    for y in (fd.tensor(Array(x)), fd.asarray(Array(x), copy=True), fd.from_dlpack(Array(x), copy=True)):
        y.zero_()
    read_only = fd.as_tensor(Array(x, data=(x.data_ptr(), True)))
    read_only.zero_()
    assert x.sum().item() == 66
    assert fd.as_tensor(Array(x), device="cpu").device.type == "cpu"
    assert fd.as_tensor(Array(x), dtype=fd.float64).dtype == fd.float64


def test_memory_outlives_the_array():
    array = Array(sample())
    gone = weakref.ref(array)
    y = fd.as_tensor(array)[1]
    del array
    gc.collect()
    assert gone() is not None and y.tolist() == [3, 4, 5]
    del y
    gc.collect()
    assert gone() is None


def test_streams_are_told_to_each_other():
    x, array = sample(), Array(sample())
    fd.from_dlpack(array)
    with fd.cuda.stream(fd.cuda.Stream()) as stream:
        fd.from_dlpack(array)
        assert x.__cuda_array_interface__["stream"] == stream.cuda_stream
        for other in (None, -1, 1, 2, fd.cuda.Stream().cuda_stream):
            assert "dltensor" in repr(x.__dlpack__(stream=other))
        for other in (None, 1, 2, stream.cuda_stream):
            assert fd.as_tensor(Array(x, stream=other)).tolist() == x.tolist()
    assert array.streams == [1, stream.cuda_stream]
    with pytest.raises(BufferError, match="stream 0"):
        x.__dlpack__(stream=0)
    with pytest.raises(ValueError, match="stream 0"):
        fd.as_tensor(Array(x, stream=0))


@pytest.mark.skipif(not fd.cuda.is_simulated(), reason="a driver may end the process")
def test_a_stream_that_was_destroyed():
    x = sample()
    destroyed = id(object())
    with pytest.raises(fd.DeviceError, match="destroyed"):
        fd.as_tensor(Array(x, stream=destroyed))
    with pytest.raises(fd.DeviceError, match="destroyed"):
        x.__dlpack__(stream=destroyed)
    assert (x + 1).sum().item() == 78


def test_streams_are_used_again():
    """Memory goes back to the stream that it was allocated on, which must be there still."""
    stream = fd.cuda.Stream()
    handle = stream.cuda_stream
    with fd.cuda.stream(stream):
        x = sample()
    del stream
    gc.collect()
    assert fd.cuda.Stream().cuda_stream == handle
    del x
    fd.cuda.synchronize()


HOST = (ctypes.c_float * 12)()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"data": (ctypes.addressof(HOST), False)},
            fd.DeviceError,
            "the memory is the host's, expected that of cuda:0",
        ),
        ({"offset": 2}, ValueError, "not aligned to its element size"),
        ({"strides": (12, 6)}, ValueError, "a stride of 6 bytes"),
        ({"strides": (-12, 4)}, ValueError, "negative strides"),
        ({"strides": (4,)}, fd.ShapeError, "strides"),
        ({"typestr": ">f4"}, fd.DTypeError, "'>f4', expected one of"),
        ({"typestr": "<c8"}, fd.DTypeError, "'<c8', expected one of"),
        ({"mask": 1}, ValueError, "masked"),
    ],
)
def test_arrays_that_are_refused(changes, error, message):
    x = sample()
    if "offset" in changes:
        changes = {"data": (x.data_ptr() + changes["offset"], False)}
    with pytest.raises(error, match=message):
        fd.as_tensor(Array(x, **changes))


class Cubed(fd.autograd.Function):
    """The body works on arrays of another library, here on stand-ins."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        theirs = fd.as_tensor(Array(x.detach()))
        return fd.from_dlpack(Array(theirs**3))

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return fd.as_tensor(Array(3 * x.detach() ** 2 * g))


def test_a_function_of_the_user():
    x = fd.tensor([1.0, 2.0, -3.0], requires_grad=True)
    y = Cubed.apply(x)
    assert y.tolist() == [1, 8, -27]
    y.sum().backward()
    assert x.grad.tolist() == [3, 12, 27]


@pytest.mark.gpu
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cupy_both_ways(layout, dtype):
    cupy = pytest.importorskip("cupy")
    x = LAYOUTS[layout](sample(dtype))
    for array in (cupy.from_dlpack(x), cupy.asarray(x)):
        assert x.numel() == 0 or array.data.ptr == x.data_ptr()
        np.testing.assert_array_equal(cupy.asnumpy(array), x.numpy(force=True))
        for back in (fd.from_dlpack(array), fd.as_tensor(array)):
            assert back.numel() == 0 or back.data_ptr() == x.data_ptr()
            assert back.tolist() == x.tolist()


@pytest.mark.gpu
def test_cupy_in_a_function_on_another_stream():
    cupy = pytest.importorskip("cupy")

    class Sine(fd.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            with cupy.cuda.Stream(non_blocking=True):
                return fd.from_dlpack(cupy.sin(cupy.from_dlpack(x.detach())))

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return fd.from_dlpack(cupy.cos(cupy.from_dlpack(x.detach())) * cupy.from_dlpack(g))

    x = fd.randn(1 << 20, requires_grad=True)
    y = Sine.apply(x)
    y.sum().backward()
    assert (y - x.sin()).abs().max().item() < 1e-5
    assert (x.grad - x.detach().cos()).abs().max().item() < 1e-5
