"""Batches of sequences of different lengths: padded to one length, or packed step by step without padding."""

import itertools
from collections import namedtuple

import fastdl
from fastdl.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(namedtuple("PackedSequence", ("data", "batch_sizes", "sorted_indices", "unsorted_indices"))):
    """Sequences of a batch, longest first, interleaved: the first step of all, then the second of those that have one, ...

    Made by :func:`pack_sequence` and :func:`pack_padded_sequence`; recurrent layers take and return it.

    Args:
        data: the steps, (sum of lengths, *).
        batch_sizes: how many sequences have each step, int64.
        sorted_indices: which sequence of the batch is first, second, ... by length; None if they were in that order.
        unsorted_indices: the inverse permutation; found from sorted_indices when left out.

    >>> packed = nn.utils.rnn.pack_sequence([fd.tensor([1, 2]), fd.tensor([3])])
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1, 3, 2], [2, 1])
    """

    __slots__ = ()

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """The data with another dtype or device; itself if it has them already."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        order, inverse = (None if t is None else t.to(device=data.device) for t in self[2:])
        return type(self)(data, self.batch_sizes, order, inverse)

    def cpu(self):
        """The data on the CPU."""
        return self.to(device="cpu")

    def cuda(self, device=None):
        """The data on a GPU."""
        return self.to(device="cuda" if device is None else device)

    def double(self):
        """The data as float64."""
        return self.to(dtype=fastdl.float64)

    def float(self):
        """The data as float32."""
        return self.to(dtype=fastdl.float32)

    def half(self):
        """The data as float16."""
        return self.to(dtype=fastdl.float16)

    def long(self):
        """The data as int64."""
        return self.to(dtype=fastdl.int64)

    def int(self):
        """The data as int32."""
        return self.to(dtype=fastdl.int32)

    def char(self):
        """The data as int8."""
        return self.to(dtype=fastdl.int8)

    def byte(self):
        """The data as uint8."""
        return self.to(dtype=fastdl.uint8)

    @property
    def is_cuda(self):
        """Whether the data is on a GPU."""
        return self.data.device.type == "cuda"

    def is_pinned(self):
        """False: host memory is not pinned here."""
        return False


def invert_permutation(permutation):
    """Where each index is in a permutation; None for None.

    >>> nn.utils.rnn.invert_permutation(fd.tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    return None if permutation is None else permutation.argsort()


def _places(lengths, device):
    """Where the packed steps are in a padded batch (T, N) made flat; lengths, longest first."""
    steps = fastdl.arange(lengths[0]).unsqueeze(1)
    within = steps < fastdl.tensor(lengths)
    return within.reshape(-1).nonzero().squeeze(1).to(device=device), within.sum(1)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """The sequences of a padded batch, packed.

    Args:
        input: (T, N, *), or (N, T, *) with batch_first.
        lengths: of each sequence, at least 1; a list or tensor.
        enforce_sorted: the lengths must not increase; else they are sorted, and recurrent layers return the states in the
            given order.

    Raises:
        ShapeError: not one length a sequence. ValueError: lengths that increase, or out of range.

    >>> packed = nn.utils.rnn.pack_padded_sequence(fd.tensor([[1, 3], [2, 0]]), [2, 1])
    >>> packed.data.tolist()
    [1, 3, 2]
    """
    op = "pack_padded_sequence"
    if input.ndim < 2:
        raise fastdl.ShapeError(f"{op}: expected a padded batch of 2 or more dimensions, got {list(input.shape)}")
    x = input.transpose(0, 1) if batch_first else input
    lengths = [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]
    if len(lengths) != x.shape[1]:
        raise fastdl.ShapeError(f"{op}: {len(lengths)} lengths for a batch of {x.shape[1]} ({list(input.shape)})")
    if not lengths or min(lengths) < 1 or max(lengths) > x.shape[0]:
        raise fastdl.ValueError(f"{op}: lengths {lengths} must be from 1 to {x.shape[0]}")
    order = None
    if not enforce_sorted:
        indices = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        order = fastdl.tensor(indices, dtype=fastdl.int64).to(device=input.device)
        lengths, x = [lengths[i] for i in indices], x.index_select(1, order)
    elif any(a < b for a, b in itertools.pairwise(lengths)):
        raise fastdl.ValueError(f"{op}: lengths {lengths} must not increase; pass enforce_sorted=False to sort them")
    places, batch_sizes = _places(lengths, input.device)
    data = x.reshape(-1, *x.shape[2:]).index_select(0, places)
    return PackedSequence(data, batch_sizes, order)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """A packed batch, padded: (T, N, *), or (N, T, *) with batch_first, and the lengths.

    Args:
        padding_value: what the missing steps hold.
        total_length: T, where it is to be longer than the longest sequence.

    Raises:
        ValueError: a total_length below the longest sequence.

    >>> packed = nn.utils.rnn.pack_sequence([fd.tensor([1.0, 2.0]), fd.tensor([3.0])])
    >>> padded, lengths = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    >>> padded.tolist(), lengths.tolist()
    ([[1.0, 2.0], [3.0, 0.0]], [2, 1])
    """
    data, batch_sizes, _, inverse = sequence
    sizes = batch_sizes.tolist()
    longest, batch = len(sizes), sizes[0]
    if total_length is not None and total_length < longest:
        raise fastdl.ValueError(
            f"pad_packed_sequence: total_length {total_length} is below the longest sequence, {longest}"
        )
    lengths = (batch_sizes.unsqueeze(1) > fastdl.arange(batch)).sum(0)
    places, _ = _places(lengths.tolist(), data.device)
    total = longest if total_length is None else total_length
    padded = fastdl.full((total * batch, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    padded = padded.index_put((places,), data).view(total, batch, *data.shape[1:])
    if inverse is not None:
        padded, lengths = padded.index_select(1, inverse), lengths[inverse.cpu()]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences (L_i, *) padded to the longest: (T, N, *), or (N, T, *) with batch_first.

    Args:
        padding_side: where the missing steps are added, "right" or "left".

    Raises:
        ValueError: no sequences, or another side. ShapeError: they differ in more than the length.

    >>> nn.utils.rnn.pad_sequence([fd.tensor([1, 2]), fd.tensor([3])], batch_first=True, padding_value=-1).tolist()
    [[1, 2], [3, -1]]
    """
    if padding_side not in ("right", "left"):
        raise fastdl.ValueError(f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}")
    sequences = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not sequences:
        raise fastdl.ValueError("pad_sequence: expected at least one sequence")
    longest, rest = max(s.shape[0] for s in sequences), sequences[0].shape[1:]
    padded = []
    for s in sequences:
        if s.shape[1:] != rest:
            raise fastdl.ShapeError(
                f"pad_sequence: sequences {list(sequences[0].shape)} and {list(s.shape)} differ in more than length"
            )
        filling = fastdl.full((longest - s.shape[0], *rest), padding_value, dtype=s.dtype, device=s.device)
        padded.append(fastdl.cat((s, filling) if padding_side == "right" else (filling, s)))
    return fastdl.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The sequences of a padded batch, as a list: the inverse of :func:`pad_sequence`.

    >>> [s.tolist() for s in nn.utils.rnn.unpad_sequence(fd.tensor([[1, 3], [2, 0]]), fd.tensor([2, 1]))]
    [[1, 2], [3]]
    """
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [s[: int(n)] for s, n in zip(x.unbind(0), lengths)]


def pack_sequence(sequences, enforce_sorted=True):
    """A list of sequences (L_i, *), packed; see :func:`pack_padded_sequence`.

    >>> nn.utils.rnn.pack_sequence([fd.tensor([1, 2, 3]), fd.tensor([4])]).batch_sizes.tolist()
    [2, 1, 1]
    """
    sequences = list(sequences)
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """The sequences of a packed batch, as a list, in the order they were packed in.

    >>> packed = nn.utils.rnn.pack_sequence([fd.tensor([1, 2]), fd.tensor([3])])
    >>> [s.tolist() for s in nn.utils.rnn.unpack_sequence(packed)]
    [[1, 2], [3]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths.tolist(), batch_first=True)
