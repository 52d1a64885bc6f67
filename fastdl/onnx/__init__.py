"""Models from and to ONNX files: ``fastdl.onnx.load`` and ``fastdl.onnx.export``."""

from .export import export
from .load import OnnxModule, load

__all__ = ["OnnxModule", "export", "load"]
