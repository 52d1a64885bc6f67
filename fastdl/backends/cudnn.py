"""Convolutions on GPUs. There is no cuDNN: the name is PyTorch's, so that its switch is found where scripts set it."""

import sys
import types

from .. import _C


class _Switches(types.ModuleType):
    @property
    def allow_tf32(self):
        """Whether convolutions of float32 may round their operands to TF32: True unless set, as in PyTorch."""
        return _C.convolution_tf32()

    @allow_tf32.setter
    def allow_tf32(self, allowed):
        _C.set_convolution_tf32(bool(allowed))


sys.modules[__name__].__class__ = _Switches
