"""The functions of ``torch.nn.functional``: stateless layers, activations and losses, a module a family.

Each is a signature and a docstring over an op of ``fastdl._C``, or a few lines over other functions. Checks and
error messages belong to the ops. A docstring has one line of meaning, the formula, the arguments with their shapes,
the errors, the source and an example; the examples run with ``fd`` for fastdl, ``nn`` and ``F``.
"""

from fastdl.nn.functional.activation import *
from fastdl.nn.functional.attention import *
from fastdl.nn.functional.conv import *
from fastdl.nn.functional.ctc import *
from fastdl.nn.functional.distance import *
from fastdl.nn.functional.dropout import *
from fastdl.nn.functional.embedding import *
from fastdl.nn.functional.fold import *
from fastdl.nn.functional.fractional_pooling import *
from fastdl.nn.functional.gradient import *
from fastdl.nn.functional.linear import *
from fastdl.nn.functional.loss import *
from fastdl.nn.functional.margin import *
from fastdl.nn.functional.normalization import *
from fastdl.nn.functional.padding import *
from fastdl.nn.functional.pooling import *
from fastdl.nn.functional.recurrent import *
from fastdl.nn.functional.resampling import *
from fastdl.nn.functional.rotary import *
from fastdl.nn.functional.shuffle import *
from fastdl.nn.functional.unpooling import *
