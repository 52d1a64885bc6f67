"""Choices between ways to compute the same thing, by device; PyTorch's names where it has them.

>>> import fastdl as fd
>>> fd.backends.cpu.winograd, fd.backends.cuda.matmul.allow_tf32, fd.backends.cudnn.allow_tf32
(True, False, True)
"""

from . import cpu as cpu
from . import cuda as cuda
from . import cudnn as cudnn
