"""Element types, devices and memory formats."""

from ._C import bfloat16, bool, device, dtype, float16, float32, float64, int8, int32, int64, uint8

__all__ = [
    "bfloat16",
    "bool",
    "channels_last",
    "contiguous_format",
    "device",
    "double",
    "dtype",
    "float",
    "float16",
    "float32",
    "float64",
    "half",
    "int",
    "int8",
    "int32",
    "int64",
    "long",
    "memory_format",
    "preserve_format",
    "uint8",
]  # fmt: skip

float, double, half, int, long = float32, float64, float16, int32, int64


class memory_format:
    """How the memory behind a shape is ordered."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"fastdl.{self.name}"


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
preserve_format = memory_format("preserve_format")
