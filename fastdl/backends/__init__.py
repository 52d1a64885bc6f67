"""Switches of how GPUs compute, under PyTorch's names.

>>> import fastdl as fd
>>> fd.backends.cuda.matmul.allow_tf32, fd.backends.cudnn.allow_tf32
(False, True)
"""

from . import cuda as cuda
from . import cudnn as cudnn
