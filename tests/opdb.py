"""The op table: one row per op, from which its tests and its benchmarks come.

A row names the function (the same in fastdl and PyTorch), a plain NumPy formula as reference, sample inputs, the dtypes
it takes, whether it has a gradient, and the shapes of its benchmarks with their floating-point operations and bytes:

    op("nn.functional.softmax", softmax, lambda r: over_dims(r, 2), grad=2, bench=[...])

Arrays of float64 in a sample stand for tensors of the dtype under test; arrays of other dtypes (indices, masks) stay
what they are. The reference is called in a wide dtype (the truth) and in the dtype itself (the plain formula, whose
error is the measure for ours); it must not leave the dtype of its arguments. tests/harness.py makes its tensors.

The rows are in opdb_pointwise, opdb_special, opdb_bessel, opdb_reduce, opdb_order, opdb_shape, opdb_pick, opdb_linear, opdb_linalg,
opdb_spectral, opdb_layers, opdb_spatial, opdb_losses and opdb_margins. Nothing here imports fastdl or torch.
"""

import opdb_bessel  # noqa: F401
import opdb_layers  # noqa: F401
import opdb_linalg  # noqa: F401
import opdb_linear  # noqa: F401
import opdb_losses  # noqa: F401
import opdb_margins  # noqa: F401
import opdb_order  # noqa: F401
import opdb_pick  # noqa: F401
import opdb_pointwise  # noqa: F401
import opdb_reduce  # noqa: F401
import opdb_shape  # noqa: F401
import opdb_spatial  # noqa: F401
import opdb_special  # noqa: F401
import opdb_spectral  # noqa: F401
from opdb_row import ROWS

__all__ = ["ROWS"]
