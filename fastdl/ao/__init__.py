"""Where PyTorch keeps quantisation: ``fastdl.ao.quantization`` is ``fastdl.quantization``."""

from fastdl import nn, quantization

__all__ = ["nn", "quantization"]
