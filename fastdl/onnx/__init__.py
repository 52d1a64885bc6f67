"""Models from and to ONNX files: ``fastdl.onnx.load`` and ``fastdl.onnx.export``."""

from .load import OnnxModule, load

__all__ = ["OnnxModule", "load"]
