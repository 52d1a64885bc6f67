"""Convolutions on GPUs. There is no cuDNN: the name is PyTorch's, so that its switch is found where scripts set it."""

import sys
import types

from ..settings import _convolution_tf32, _set_convolution_tf32

__all__ = ["allow_tf32"]


class _Switches(types.ModuleType):
    @property
    def allow_tf32(self):
        """Whether convolutions of float32 may round their operands to TF32: True unless set, as in PyTorch."""
        return _convolution_tf32()

    @allow_tf32.setter
    def allow_tf32(self, allowed):
        _set_convolution_tf32(allowed)


sys.modules[__name__].__class__ = _Switches
