"""Datasets: anything with ``__getitem__`` and ``__len__``, or with ``__iter__`` alone."""

import bisect
import itertools
import math

import fastdl as fd


class Dataset:
    """A map from an index to a sample. Subclasses define ``__getitem__(index)`` and ``__len__()``.

    Source: ``torch.utils.data.Dataset``.

    Example:
        >>> class Squares(Dataset):
        ...     def __getitem__(self, index):
        ...         return index * index
        ...     def __len__(self):
        ...         return 4
        >>> Squares()[3]
        9
    """

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """A stream of samples. Subclasses define ``__iter__()``, and ``__len__()`` where the number is known.

    With worker processes each one iterates over a copy of the dataset: :func:`get_worker_info` tells a copy which part of
    the stream is its own. Batches are taken from the workers in turn.

    Source: ``torch.utils.data.IterableDataset``.

    Example:
        >>> class Count(IterableDataset):
        ...     def __iter__(self):
        ...         return iter(range(3))
        >>> list(Count() + Count())
        [0, 1, 2, 0, 1, 2]
    """

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")

    def __add__(self, other):
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """Streams one after the other.

    Args:
        datasets: iterable datasets.

    Raises:
        TypeError: (while iterating) one is no IterableDataset.

    Source: ``torch.utils.data.ChainDataset``.
    """

    def __init__(self, datasets):
        self.datasets = datasets

    def __iter__(self):
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise TypeError(f"ChainDataset: expected IterableDatasets, got {type(dataset).__name__}")
            yield from dataset

    def __len__(self):
        return sum(len(dataset) for dataset in self.datasets)


class StackDataset(Dataset):
    """Datasets side by side: sample ``i`` is the tuple of their samples ``i``, or a dict of them by the given names.

    Args:
        *args: datasets of the same length, or
        **kwargs: such datasets by name.

    Raises:
        ValueError: no dataset, positions and names mixed, or lengths that differ.

    Source: ``torch.utils.data.StackDataset``.

    Example:
        >>> StackDataset(image=["a", "b"], label=[0, 1])[1]
        {'image': 'b', 'label': 1}
    """

    def __init__(self, *args, **kwargs):
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset: expected datasets by position, or by name")
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in args or kwargs.values()]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: the datasets must have the same length, got {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index):
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self):
        return self._length


class TensorDataset(Dataset):
    """Tensors that share their first dimension; sample ``i`` is the tuple of their rows ``i``.

    A DataLoader takes a batch from it with one gather per tensor.

    Args:
        *tensors: tensors of shape (N, ...).

    Raises:
        TypeError: no tensor is given, or something that is no tensor.
        ValueError: the first dimensions differ.

    Source: ``torch.utils.data.TensorDataset``.

    Example:
        >>> import fastdl as fd
        >>> dataset = TensorDataset(fd.arange(6).reshape(3, 2), fd.tensor([7, 8, 9]))
        >>> [column.tolist() for column in dataset[1]]
        [[2, 3], 8]
    """

    def __init__(self, *tensors):
        if not tensors or not all(isinstance(tensor, fd.Tensor) for tensor in tensors):
            raise TypeError(f"TensorDataset: expected tensors, got {[type(tensor).__name__ for tensor in tensors]}")
        shapes = [list(tensor.shape) for tensor in tensors]
        if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
            raise ValueError(f"TensorDataset: tensors must share their first dimension, got shapes {shapes}")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self):
        return self.tensors[0].shape[0]


class Subset(Dataset):
    """The samples of a dataset at given indices.

    Args:
        dataset: the whole dataset.
        indices: sequence of int.

    Source: ``torch.utils.data.Subset``.

    Example:
        >>> Subset(["a", "b", "c"], [2, 0])[0]
        'c'
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index):
        return self.dataset[int(self.indices[index])]

    def __len__(self):
        return len(self.indices)


class ConcatDataset(Dataset):
    """Datasets one after the other.

    Args:
        datasets: the datasets, at least one.

    Raises:
        ValueError: there is none.
        IndexError: (on access) the index is out of range.

    Source: ``torch.utils.data.ConcatDataset``.

    Example:
        >>> ConcatDataset([["a", "b"], ["c"]])[2]
        'c'
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index):
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"ConcatDataset: index {index} is out of range for {size} samples")
        index %= size
        which = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]

    def __len__(self):
        return self.cumulative_sizes[-1]


def random_split(dataset, lengths, generator=None):
    """Split a dataset at random into subsets that do not overlap.

    Args:
        dataset: the whole dataset, N samples.
        lengths: the sizes, which sum to N, or fractions, which sum to 1 (what rounding down leaves over goes to the
            subsets in turn, from the first).
        generator: the ``fastdl.Generator`` to draw from; the default one if None.

    Returns:
        List of ``Subset``.

    Raises:
        ValueError: the lengths do not sum to N, or a fraction is outside [0, 1].

    Source: ``torch.utils.data.random_split``.

    Example:
        >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
        [8, 2]
    """
    lengths = list(lengths)
    size = len(dataset)
    if any(isinstance(length, float) for length in lengths) and math.isclose(sum(lengths), 1):
        if not all(0 <= length <= 1 for length in lengths):
            raise ValueError(f"random_split: fractions must lie between 0 and 1, got {lengths}")
        lengths = [math.floor(size * fraction) for fraction in lengths]
        for extra in range(size - sum(lengths)):
            lengths[extra % len(lengths)] += 1
    if sum(lengths) != size or any(length < 0 or length != int(length) for length in lengths):
        raise ValueError(f"random_split: the lengths {lengths} must be counts that sum to {size} samples")
    order = fd.randperm(size, generator=generator).tolist()
    ends = list(itertools.accumulate(int(length) for length in lengths))
    return [Subset(dataset, order[start:end]) for start, end in zip([0, *ends], ends)]


def in_memory(dataset):
    """What a DataLoader needs to gather whole batches at once.

    Args:
        dataset: any dataset.

    Returns:
        ``(tensors, index)`` for a TensorDataset or a Subset (of a Subset ...) of one: sample ``i`` of ``dataset`` is
        row ``index[i]`` of each tensor, or row ``i`` where ``index`` is None. None for every other dataset, and where
        a subclass has its own ``__getitem__``.

    Example:
        >>> import fastdl as fd
        >>> tensors, index = in_memory(Subset(TensorDataset(fd.arange(5)), [4, 1]))
        >>> tensors[0][index].tolist()
        [4, 1]
    """
    getitem = type(dataset).__getitem__ if isinstance(dataset, Dataset) else None
    if getitem is TensorDataset.__getitem__:
        return dataset.tensors, None
    if getitem is not Subset.__getitem__:
        return None
    whole = in_memory(dataset.dataset)
    if whole is None:
        return None
    tensors, index = whole
    own = fd.tensor([int(i) for i in dataset.indices], dtype=fd.int64)
    return tensors, own if index is None else index[own]
