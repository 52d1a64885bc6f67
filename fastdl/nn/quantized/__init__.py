"""Layers with weights of 8 bits; made by ``fastdl.quantization``."""

from fastdl.nn.quantized import dynamic

__all__ = ["dynamic"]
