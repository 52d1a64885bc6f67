"""Sums over products in Einstein's notation, one matrix product after the other, from left to right."""

from . import _C
from ._C import Tensor

__all__ = ["einsum", "tensordot"]


def einsum(equation, *operands):
    """The sum of products that `equation` describes by a letter for each dimension of each operand.

    ``"ij,jk->ik"`` is a matrix product: letters that the result lacks are summed over. Without ``->`` the result has, in
    alphabetical order, the letters that occur once. ``...`` stands for dimensions that broadcast; a letter that is
    repeated in one operand takes the diagonal. More than two operands are contracted from left to right.

    Args:
        equation: the letters; or the first operand, followed by a list of numbers from 0 to 51 for its dimensions, then
            the next operand, and so on, and at last, if wanted, the list for the result.
        operands: tensors, or one list of them.

    Raises:
        ShapeError: a letter stands for two sizes, or an operand has another number of dimensions than letters.
        ValueError: an equation that cannot be read.

    >>> import fastdl as fd
    >>> fd.einsum("ij,j->i", fd.ones(2, 3), fd.ones(3))
    tensor([3., 3.])
    """
    if isinstance(equation, Tensor):
        equation, operands = _from_lists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    inputs, output = _parse(equation, operands)
    parts = [_diagonals(labels, x, equation) for labels, x in zip(inputs, operands)]
    sizes = _sizes(parts, equation)
    for label in output:
        if label not in sizes:
            raise _C.ValueError(f"einsum: {equation!r}: the result's {_show(label)} is in no operand")
    labels, x = parts[0]
    for i in range(1, len(parts)):
        needed = set(output).union(*(p[0] for p in parts[i + 1 :]))
        labels, x = _contract(labels, x, *parts[i], needed, sizes)
    extra = [d for d, label in enumerate(labels) if label not in output]
    if extra:
        x = _C.sum(x, extra, False, x.dtype)
        labels = [label for label in labels if label in output]
    return x.permute([labels.index(label) for label in output])


def tensordot(a, b, dims=2, out=None):
    """The sum of products over `dims`: a number n (the last n of `a` with the first n of `b`), or a list for each.

    Raises:
        ShapeError: sizes that differ.

    >>> import fastdl as fd
    >>> fd.tensordot(fd.ones(2, 3, 4), fd.ones(3, 4, 5)).shape
    (2, 5)
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise _C.ValueError(f"tensordot: dims {dims} for inputs {list(a.shape)} and {list(b.shape)}")
        dims_a, dims_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        dims_a, dims_b = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(dims_a) != len(dims_b):
        raise _C.ValueError(f"tensordot: {len(dims_a)} dimensions of a, {len(dims_b)} of b")
    dims_a, dims_b = [d % a.ndim for d in dims_a], [d % b.ndim for d in dims_b]
    for i, j in zip(dims_a, dims_b):
        if a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]):
            raise _C.ShapeError(
                f"tensordot: dimension {i} of {list(a.shape)} and dimension {j} of {list(b.shape)} need the same size"
            )
    labels_a, labels_b = list(range(a.ndim)), list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip(dims_a, dims_b):
        labels_b[j] = i
    kept = [d for d in labels_a if d not in dims_a] + [label for label in labels_b if label >= a.ndim]
    sizes = dict(zip(labels_a + labels_b, (*a.shape, *b.shape)))
    labels, x = _contract(labels_a, a, labels_b, b, set(kept), sizes)
    x = x.permute([labels.index(label) for label in kept])
    return x if out is None else out.copy_(x)


# --- reading the equation: labels are letters, or negative numbers for the dimensions of an ellipsis ---


def _from_lists(arguments):
    letter = lambda i: "..." if i is Ellipsis else chr((ord("A") if i < 26 else ord("a") - 26) + i)
    pairs = len(arguments) // 2
    terms = ["".join(map(letter, arguments[2 * i + 1])) for i in range(pairs)]
    equation = ",".join(terms)
    if len(arguments) % 2:
        equation += "->" + "".join(map(letter, arguments[-1]))
    return equation, arguments[: 2 * pairs : 2]


def _show(label):
    return "..." if isinstance(label, int) else f"{label!r}"


def _parse(equation, operands):
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise _C.ValueError(f"einsum: {equation!r} is for {len(terms)} operands, got {len(operands)}")
    wide = 0
    for term, x in zip(terms, operands):
        letters = term.replace("...", "", 1)
        if not all("a" <= c <= "z" or "A" <= c <= "Z" for c in letters):
            raise _C.ValueError(f"einsum: {equation!r}: expected letters, one '...', ',' and '->', got {term!r}")
        spare = x.ndim - len(letters)
        if spare < 0 or (spare and "..." not in term):
            raise _C.ShapeError(f"einsum: {term!r} in {equation!r} does not fit an operand of shape {list(x.shape)}")
        wide = max(wide, spare)

    def labels(term, spare):
        head, dots, tail = term.partition("...")
        return [*head, *(range(-spare, 0) if dots else ()), *tail]

    inputs = [labels(term, x.ndim - len(term.replace("...", "", 1))) for term, x in zip(terms, operands)]
    if arrow:
        output = labels(right, wide)
        if len(set(output)) != len(output):
            raise _C.ValueError(f"einsum: {equation!r}: a letter is repeated in the result")
    else:
        letters = left.replace(",", "").replace(".", "")
        output = [*range(-wide, 0), *sorted(c for c in set(letters) if letters.count(c) == 1)]
    return inputs, output


def _diagonals(labels, x, equation):
    labels = list(labels)
    for label in list(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            if x.shape[i] != x.shape[j]:
                raise _C.ShapeError(f"einsum: {equation!r}: {label!r} stands for sizes {x.shape[i]} and {x.shape[j]}")
            x = _C.diagonal(x, 0, i, j)
            labels = [c for d, c in enumerate(labels) if d not in (i, j)] + [label]
    return labels, x


def _sizes(parts, equation):
    sizes = {}
    for labels, x in parts:
        for label, n in zip(labels, x.shape):
            known = sizes.setdefault(label, n)
            if known != n and 1 not in (known, n):
                raise _C.ShapeError(f"einsum: {equation!r}: {_show(label)} stands for sizes {known} and {n}")
            if known == 1:
                sizes[label] = n
    return sizes


# --- two operands ---


def _contract(labels_a, a, labels_b, b, needed, sizes):
    """The product of two operands, summed over what is not needed further: one batched matrix product."""
    alone = lambda labels, others: [d for d, c in enumerate(labels) if c not in others and c not in needed]
    for_a, for_b = alone(labels_a, labels_b), alone(labels_b, labels_a)
    # A dimension of size 1 that broadcasts against a summed one: the other side can be summed before.
    for d, c in enumerate(labels_a):
        if c in labels_b and c not in needed:
            e = labels_b.index(c)
            if a.shape[d] != b.shape[e]:
                for_a.append(d)
                for_b.append(e)
    if for_a:
        a = _C.sum(a, for_a, False, a.dtype)
        labels_a = [c for d, c in enumerate(labels_a) if d not in for_a]
    if for_b:
        b = _C.sum(b, for_b, False, b.dtype)
        labels_b = [c for d, c in enumerate(labels_b) if d not in for_b]
    both = [c for c in labels_a if c in labels_b]
    batch, summed = [c for c in both if c in needed], [c for c in both if c not in needed]
    rows, columns = [c for c in labels_a if c not in both], [c for c in labels_b if c not in both]

    def arranged(x, labels, order):  # batch dimensions of size 1 broadcast
        x = x.permute([labels.index(c) for c in order])
        return x.expand([sizes[c] for c in batch] + list(x.shape[len(batch) :]))

    a = arranged(a, labels_a, batch + rows + summed)
    b = arranged(b, labels_b, batch + summed + columns)
    n, r, k = len(batch), len(rows), len(summed)
    shape = [*a.shape[: n + r], *b.shape[n + k :]]
    of_batch, of_rows = _product(a.shape[:n]), _product(a.shape[n : n + r])
    of_sum, of_columns = _product(b.shape[n : n + k]), _product(b.shape[n + k :])
    if not summed and not rows and not columns:
        out = _C.mul(a, b)
    elif n:
        out = _C.bmm(_C.reshape(a, (of_batch, of_rows, of_sum)), _C.reshape(b, (of_batch, of_sum, of_columns)))
    else:
        out = _C.mm(_C.reshape(a, (of_rows, of_sum)), _C.reshape(b, (of_sum, of_columns)))
    return batch + rows + columns, _C.reshape(out, shape)


def _product(sizes):
    n = 1
    for s in sizes:
        n *= s
    return n
