"""The functions of ``torch.nn.functional``: stateless layers, activations and losses.

Each is a signature and a docstring over an op of ``fastdl._C``, or a few lines over other functions. Checks and
error messages belong to the ops. A docstring has one line of meaning, the formula, the arguments with their shapes,
the errors, the source and an example; the examples run with ``fd`` for fastdl, ``nn`` and ``F``.

Sections, one a family: activations, linear, convolution, pooling, normalization, dropout, embedding, attention,
recurrent, losses, distances, padding and resampling.
"""

from fastdl import _C

# --- activations ---

# --- linear ---

# --- convolution ---

# --- pooling ---

# --- normalization ---

# --- dropout ---

# --- embedding ---

# --- attention ---

# --- recurrent ---

# --- losses ---

# --- distances ---

# --- padding and resampling ---
