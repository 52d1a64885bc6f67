"""Choices on the CPU.

`winograd` (bool, True unless set): whether float32 convolutions of 3x3 taps, stride 1 and dilation 1 may use Winograd's
algorithm, where their shape makes it faster: about four times fewer multiplications, with at most 8 times the rounding
error of the direct sum. Each gradient chooses by its own shape. A NaN or an infinity in the input makes NaN of all outputs
in its tiles of 4x4 pixels, not only of those whose window holds it. A captured step keeps the choice that it was recorded
with. The results are the same bits at any number of threads either way.

    fastdl.backends.cpu.winograd = False

Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.

>>> import fastdl as fd
>>> fd.backends.cpu.winograd
True
"""

import sys
import types

from .. import _C

__all__ = ["winograd"]  # noqa: F822 (an attribute of the class below)


class _Settings(types.ModuleType):
    """This module, whose attributes are read from the extension and written to it."""

    @property
    def winograd(self):
        return _C.winograd_enabled()

    @winograd.setter
    def winograd(self, on):
        if not isinstance(on, bool):
            raise _C.DTypeError(f"backends.cpu.winograd: expected True or False, got {on!r}")
        _C.set_winograd_enabled(on)


sys.modules[__name__].__class__ = _Settings
