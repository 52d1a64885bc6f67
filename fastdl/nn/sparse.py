"""Lookup tables."""

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.module import Module
from fastdl.nn.parameter import Parameter


class _Table(Module):
    """What the layers share: rows of trained numbers, one of which may stand for padding."""

    def _set_rows(self, num_embeddings, embedding_dim, padding_idx, sparse, weight, device, dtype):
        name = type(self).__name__
        if sparse:
            raise ValueError(f"{name}: sparse gradients are not supported")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"{name}: padding_idx {padding_idx} must be within num_embeddings = {num_embeddings}")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        if weight is None:
            self.weight = Parameter(fastdl.empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
            self.reset_parameters()
        elif tuple(weight.shape) != (num_embeddings, embedding_dim):
            raise fastdl.ShapeError(
                f"{name}: weight {list(weight.shape)} does not match num_embeddings, embedding_dim = "
                f"{[num_embeddings, embedding_dim]}"
            )
        else:
            self.weight = Parameter(weight)

    def reset_parameters(self):
        """Draws the rows anew; the padding row is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with fastdl.no_grad():
                self.weight[self.padding_idx].fill_(0)

    @classmethod
    def _from_rows(cls, embeddings, freeze, **options):
        if embeddings.ndim != 2:
            raise fastdl.ShapeError(f"{cls.__name__}: expected a 2-d tensor of rows, got {list(embeddings.shape)}")
        table = cls(*embeddings.shape, _weight=embeddings, **options)
        table.weight.requires_grad = not freeze
        return table


class Embedding(_Table):
    """Row ``weight[i]`` for each index i.

    Args:
        num_embeddings, embedding_dim: rows and their length.
        padding_idx: a row that is zero at first and has no gradient.
        max_norm: rows that are looked up and have a larger ``norm_type``-norm are first scaled down to it, in place.
        scale_grad_by_freq: divide each row's gradient by how often it was looked up.
        sparse: not supported; gradients are dense.

    Shapes: indices (*), output (*, embedding_dim). Parameter: ``weight`` (num_embeddings, embedding_dim), from N(0, 1).

    Raises:
        IndexError: an index out of range. ValueError: padding_idx out of range, or sparse.

    >>> nn.Embedding(10, 3)(fd.tensor([[1, 2, 4, 5], [4, 3, 2, 9]])).shape
    (2, 4, 3)
    """

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0,
                 scale_grad_by_freq=False, sparse=False, _weight=None, _freeze=False, device=None, dtype=None):  # fmt: skip
        super().__init__()
        self._set_rows(num_embeddings, embedding_dim, padding_idx, sparse, _weight, device, dtype)
        if _freeze:
            self.weight.requires_grad = False
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None, max_norm=None, norm_type=2.0,
                        scale_grad_by_freq=False, sparse=False):  # fmt: skip
        """An Embedding over the rows of a matrix, not trained unless ``freeze=False``."""
        return cls._from_rows(
            embeddings, freeze, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq, sparse=sparse,
        )  # fmt: skip

    def forward(self, input):
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self):
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the rows ``weight[i]`` in each bag of indices.

    Args:
        num_embeddings, embedding_dim: rows and their length.
        max_norm, norm_type, scale_grad_by_freq: as of :class:`Embedding`.
        mode: "sum", "mean" or "max".
        sparse: not supported; gradients are dense.
        include_last_offset: the offsets' last element is the end of the last bag.
        padding_idx: a row that is zero at first, does not count in any bag and has no gradient.

    Forward takes indices (B, N), or (N,) with ``offsets`` (B,) where each bag begins, and with mode "sum" factors of the
    indices' shape, ``per_sample_weights``; the output is (B, embedding_dim). Parameter: ``weight`` (num_embeddings,
    embedding_dim), from N(0, 1).

    Raises:
        IndexError: an index out of range. ValueError: padding_idx out of range, an unknown mode, or sparse.

    >>> nn.EmbeddingBag(10, 3, mode="sum")(fd.tensor([1, 2, 4, 5]), fd.tensor([0, 3])).shape
    (2, 3)
    """

    def __init__(self, num_embeddings, embedding_dim, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean",
                 sparse=False, _weight=None, include_last_offset=False, padding_idx=None, device=None, dtype=None):  # fmt: skip
        super().__init__()
        self._set_rows(num_embeddings, embedding_dim, padding_idx, sparse, _weight, device, dtype)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean",
                        sparse=False, include_last_offset=False, padding_idx=None):  # fmt: skip
        """An EmbeddingBag over the rows of a matrix, not trained unless ``freeze=False``."""
        return cls._from_rows(
            embeddings, freeze, max_norm=max_norm, norm_type=norm_type, scale_grad_by_freq=scale_grad_by_freq, mode=mode,
            sparse=sparse, include_last_offset=include_last_offset, padding_idx=padding_idx,
        )  # fmt: skip

    def forward(self, input, offsets=None, per_sample_weights=None):
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self):
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        text += f", mode={self.mode!r}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text
