"""NVIDIA GPUs: devices, streams, events and memory. PyTorch's names.

The CUDA library is loaded when a device is first asked for; ``import fastdl`` never touches it. With ``FASTDL_CUDA=sim``
in the environment, a device named ``cuda`` is simulated on the CPU: it runs the same kernels, slowly, for tests.

CuPy is the GPU's NumPy (``pip install 'fastdl[cuda]'``): ``cupy.from_dlpack(tensor)`` and ``fastdl.from_dlpack(array)`` share
memory and keep the order of streams. An array that is shared must be kept until the stream that uses it has done so.
"""

import contextlib
import os
from typing import NamedTuple

from . import _C

__all__ = [
    "DeviceProperties", "Event", "Stream", "current_device", "current_stream", "default_stream", "device", "device_count",
    "empty_cache", "get_device_capability", "get_device_name", "get_device_properties", "is_available", "is_simulated",
    "max_memory_allocated", "mem_get_info", "memory_allocated", "memory_stats", "reset_peak_memory_stats", "set_device",
    "set_stream", "stream", "synchronize", "why_unavailable",
]  # fmt: skip


class DeviceProperties(NamedTuple):
    """A GPU's name, compute capability, number of multiprocessors and bytes of memory."""

    name: str
    major: int
    minor: int
    multi_processor_count: int
    total_memory: int


def is_available():
    """Whether a GPU can be used (or is simulated). ``why_unavailable`` says what is missing.

    >>> import fastdl as fd
    >>> fd.cuda.is_available() == (fd.cuda.device_count() > 0)
    True
    """
    return device_count() > 0


def why_unavailable():
    """What is missing for a GPU to be used, as a sentence; an empty string if nothing is."""
    return _C.accelerator_missing()


def is_simulated():
    """Whether the device is the simulated one (``FASTDL_CUDA=sim``)."""
    return os.environ.get("FASTDL_CUDA") == "sim" and is_available()


def device_count():
    """The number of GPUs that can be used."""
    return _C.accelerator_count()


def _index(device):
    """The number of a device given as a number, a name, a ``fastdl.device`` or None for the current one."""
    if device is None:
        return _C.current_device()
    d = _C.device(device)
    if d.type != "cuda":
        raise ValueError(f"cuda: device '{d}', expected a CUDA device")
    return d.index


def current_device():
    """The number of this thread's current device: what ``"cuda"`` without a number means."""
    return _C.current_device()


def set_device(device):
    """Makes a device this thread's current one.

    Raises:
        DeviceError: the device does not exist.
    """
    _C.set_current_device(_index(device))


class device:
    """Context manager: another current device within a ``with`` block."""

    def __init__(self, device):
        self.index = _index(device)

    def __enter__(self):
        self._before = _C.current_device()
        _C.set_current_device(self.index)
        return self

    def __exit__(self, *exception):
        _C.set_current_device(self._before)


def get_device_properties(device=None):
    """The ``DeviceProperties`` of a device."""
    return DeviceProperties(*_C.accelerator_properties(_index(device)))


def get_device_name(device=None):
    """The name of a device."""
    return get_device_properties(device).name


def get_device_capability(device=None):
    """(major, minor) of a device's compute capability."""
    p = get_device_properties(device)
    return p.major, p.minor


def synchronize(device=None):
    """Waits until the device has done all that was asked of it; errors of kernels surface here at the latest."""
    _C.accelerator_synchronize(_index(device))


# --- streams and events ---


class Stream:
    """A queue of work on a device: calls in one stream run in order, streams run side by side.

    Memory belongs to the stream on which it was allocated: before another stream uses a tensor, make it wait with
    ``wait_stream``, and keep the tensor until that stream has used it.

    Args:
        device: where; the current device when None.
        priority: lower numbers run first; 0 or negative.
    """

    def __init__(self, device=None, priority=0, *, _handle=None):
        self.device_index = _index(device)
        self._priority = priority if _handle is None else None
        self.cuda_stream = _C.create_stream(self.device_index, priority) if _handle is None else _handle

    @property
    def device(self):
        """The stream's device."""
        return _C.device("cuda", self.device_index)

    def query(self):
        """Whether all work put into the stream is done."""
        return _C.stream_idle(self.device_index, self.cuda_stream)

    def synchronize(self):
        """Waits until it is."""
        _C.synchronize_stream(self.device_index, self.cuda_stream)

    def record_event(self, event=None):
        """Records an event (a new one when None) after what the stream holds now, and returns it."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        """Work put into the stream from now on waits for the event."""
        event._check_recorded("wait_event")
        _C.wait_event(self.device_index, self.cuda_stream, event._handle)

    def wait_stream(self, stream):
        """Work put into this stream from now on waits for what the other holds now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other):
        return isinstance(other, Stream) and (self.device_index, self.cuda_stream) == (
            other.device_index,
            other.cuda_stream,
        )

    def __hash__(self):
        return hash((self.device_index, self.cuda_stream))

    def __repr__(self):
        return f"<fastdl.cuda.Stream device=cuda:{self.device_index} cuda_stream={self.cuda_stream:#x}>"

    def __del__(self):
        if getattr(self, "_priority", None) is not None and hasattr(self, "cuda_stream"):
            _C.release_stream(self.device_index, self._priority, self.cuda_stream)


class Event:
    """A point in a stream's work, to wait for or to measure time between.

    Args:
        enable_timing: whether ``elapsed_time`` is wanted.
    """

    def __init__(self, enable_timing=False):
        self._timing = enable_timing
        self._handle = None
        self._device = None

    def record(self, stream=None):
        """Marks the point after what the stream (the current one when None) holds now."""
        stream = stream or current_stream()
        if self._handle is None or self._device != stream.device_index:
            self._release()
            self._handle, self._device = _C.create_event(stream.device_index, self._timing), stream.device_index
        _C.record_event(self._device, self._handle, stream.cuda_stream)

    def query(self):
        """Whether the point has been reached; an event that was not recorded counts as reached."""
        return self._handle is None or _C.event_reached(self._device, self._handle)

    def synchronize(self):
        """Waits until it has."""
        if self._handle is not None:
            _C.synchronize_event(self._device, self._handle)

    def wait(self, stream=None):
        """Work put into the stream from now on waits for the point."""
        (stream or current_stream()).wait_event(self)

    def elapsed_time(self, end_event):
        """Milliseconds between this event and a later one.

        Raises:
            ValueError: one of them was not recorded, or made without ``enable_timing``.
        """
        for event in (self, end_event):
            event._check_recorded("elapsed_time")
            if not event._timing:
                raise ValueError("elapsed_time: an event made without enable_timing=True")
        return _C.elapsed_ms(self._device, self._handle, end_event._handle)

    def _check_recorded(self, name):
        if self._handle is None:
            raise ValueError(f"{name}: an event that was not recorded")

    def _release(self):
        if self._handle is not None:
            _C.destroy_event(self._device, self._handle)
            self._handle = None

    def __del__(self):
        if hasattr(self, "_handle"):
            self._release()


def current_stream(device=None):
    """The stream that this thread's work on a device goes to."""
    index = _index(device)
    return Stream(index, _handle=_C.current_stream(index))


def default_stream(device=None):
    """The stream that work goes to unless another is chosen."""
    return Stream(_index(device), _handle=0)


def set_stream(stream):
    """Makes a stream the one that this thread's work on the stream's device goes to."""
    _C.set_current_stream(stream.device_index, stream.cuda_stream)


@contextlib.contextmanager
def stream(stream):
    """Within the ``with`` block, this thread's work goes to a stream, and its device is the current one."""
    with device(stream.device_index):
        before = _C.current_stream(stream.device_index)
        set_stream(stream)
        try:
            yield stream
        finally:
            _C.set_current_stream(stream.device_index, before)


# --- memory ---


def memory_stats(device=None):
    """Figures of a device's memory, in bytes: ``bytes_in_use`` and ``peak_bytes`` by tensors, ``blocks_in_use``,
    ``allocations`` ever made."""
    return _C.accelerator_stats(_index(device))


def memory_allocated(device=None):
    """Bytes that tensors use."""
    return memory_stats(device)["bytes_in_use"]


def max_memory_allocated(device=None):
    """The most bytes that tensors have used since the last ``reset_peak_memory_stats``."""
    return memory_stats(device)["peak_bytes"]


def reset_peak_memory_stats(device=None):
    """Starts ``max_memory_allocated`` anew."""
    _C.reset_accelerator_peak(_index(device))


def mem_get_info(device=None):
    """(free, total) bytes of a device's memory."""
    return _C.accelerator_memory(_index(device))


def empty_cache():
    """Gives memory that is kept for reuse back to the driver, on every device."""
    for i in range(device_count()):
        _C.accelerator_empty_cache(i)
