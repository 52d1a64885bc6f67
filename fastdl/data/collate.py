"""Samples to batches."""

from collections.abc import Mapping, Sequence

import fastdl as fd


def default_convert(data):
    """Turn NumPy arrays and scalars inside a sample into tensors; leave everything else as it is.

    Args:
        data: a sample: array, tensor, or a mapping or sequence of such.

    Source: ``torch.utils.data.default_convert``.

    Example:
        >>> import numpy as np
        >>> default_convert({"x": np.array([1, 2])})["x"].tolist()
        [1, 2]
    """
    if isinstance(data, fd.Tensor | str | bytes):
        return data
    if _is_numpy(data):
        return _from_numpy(data)
    return map_container(data, default_convert)


def default_collate(batch):
    """Stack a list of samples into one batch.

    Tensors and NumPy arrays are stacked along a new first dimension; floats become a float64 tensor, ints an int64 one;
    strings stay a list; mappings, named tuples, tuples and sequences are collated field by field.

    Args:
        batch: list of samples of the same structure.

    Raises:
        ValueError: the batch is empty, or its samples differ in shape, length or keys.
        TypeError: a sample has a type that cannot be collated.

    Source: ``torch.utils.data.default_collate``.

    Example:
        >>> [column.tolist() for column in default_collate([(1, 0.5), (2, 1.5)])]
        [[1, 2], [0.5, 1.5]]
    """
    if not batch:
        raise ValueError("default_collate: expected at least one sample, got an empty batch")
    first = batch[0]
    if isinstance(first, fd.Tensor):
        _check_same(batch, "shapes", lambda sample: tuple(sample.shape))
        return fd.stack(list(batch))
    if _is_numpy(first):
        import numpy as np

        if first.dtype.kind in "OSUV":
            raise TypeError(f"default_collate: cannot make a tensor of an array with dtype {first.dtype}")
        _check_same(batch, "shapes", lambda sample: sample.shape)
        return _from_numpy(np.stack(batch))
    if isinstance(first, float):
        return fd.tensor(batch, dtype=fd.float64)
    if isinstance(first, int):
        return fd.tensor(batch)
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        _check_same(batch, "keys", lambda sample: tuple(sorted(map(str, sample))))
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, Sequence):
        _check_same(batch, "lengths", len)
        columns = [default_collate(list(column)) for column in zip(*batch)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(
        f"default_collate: samples must hold tensors, NumPy arrays, numbers, strings, mappings or sequences, "
        f"got {type(first).__name__}"
    )


def _check_same(batch, what, key):
    try:
        values = [key(sample) for sample in batch]
    except (AttributeError, TypeError) as error:
        kinds = sorted({type(sample).__name__ for sample in batch})
        raise ValueError(f"default_collate: the samples of a batch differ in type: {', '.join(kinds)}") from error
    for position, value in enumerate(values):
        if value != values[0]:
            raise ValueError(
                f"default_collate: the samples of a batch differ in {what}: "
                f"{values[0]} in the first, {value} in number {position + 1} of {len(batch)}"
            )


def _is_numpy(data):
    return type(data).__module__ == "numpy" and hasattr(data, "dtype")


def _from_numpy(data):
    import numpy as np

    array = np.asarray(data)
    if array.dtype.kind in "OSUV":
        return data
    return fd.from_numpy(array.copy() if array.ndim == 0 or not array.flags.writeable else array)


def map_container(data, function):
    """Apply a function to each member of a mapping or sequence; give back anything else unchanged.

    Example:
        >>> map_container({"a": 1}, lambda value: value + 1)
        {'a': 2}
    """
    if isinstance(data, Mapping):
        return {key: function(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(function(value) for value in data))
    if isinstance(data, tuple):
        return tuple(function(value) for value in data)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return [function(value) for value in data]
    return data
