"""``fastdl.quantization`` under its other name."""

from fastdl.quantization import quantize_dynamic

__all__ = ["quantize_dynamic"]
