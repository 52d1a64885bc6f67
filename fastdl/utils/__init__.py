"""The name ``torch.utils`` has: ``fastdl.utils.data`` is ``fastdl.data``, ``fastdl.utils.checkpoint`` recomputes."""

import sys

from fastdl import data
from fastdl.utils import checkpoint

sys.modules[f"{__name__}.data"] = data

__all__ = ["checkpoint", "data"]
