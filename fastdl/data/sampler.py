"""Samplers: the order in which a DataLoader visits a dataset.

The random ones draw one seed from the default generator each time that they are iterated (or draw from the generator
they were given), so the order of an epoch is a function of the generator's state at its start.
"""

import os

import fastdl as fd


def draw_seed(generator=None):
    """One random int in [0, 2**62), drawn from ``generator`` or the default generator.

    Example:
        >>> import fastdl as fd
        >>> _ = fd.manual_seed(0); first = draw_seed()
        >>> _ = fd.manual_seed(0); first == draw_seed()
        True
    """
    return int(fd.randint(0, 2**62, (1,), generator=generator).item())


def _epoch_generator(generator):
    """The given generator, or one for this epoch, seeded from the default generator."""
    if generator is not None:
        return generator
    generator = fd.Generator()
    generator.manual_seed(draw_seed())
    return generator


class Sampler:
    """An iterable of dataset indices. Subclasses define ``__iter__`` and, where it is known, ``__len__``.

    Source: ``torch.utils.data.Sampler``.

    Example:
        >>> class Reversed(Sampler):
        ...     def __init__(self, size):
        ...         self.size = size
        ...     def __iter__(self):
        ...         return iter(range(self.size - 1, -1, -1))
        >>> list(Reversed(3))
        [2, 1, 0]
    """

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")


class _IndexSampler(Sampler):
    """A sampler whose whole epoch is one int64 tensor of indices, which a DataLoader can slice."""

    def indices(self):
        raise NotImplementedError

    def __iter__(self):
        return iter(self.indices().tolist())


class SequentialSampler(_IndexSampler):
    """The indices in their order.

    Args:
        data_source: the dataset.

    Source: ``torch.utils.data.SequentialSampler``.

    Example:
        >>> list(SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def indices(self):
        return fd.arange(len(self))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(_IndexSampler):
    """A random permutation, or draws with replacement.

    Args:
        data_source: the dataset.
        replacement: draw each index independently.
        num_samples: indices in an epoch; as many as samples if None.
        generator: the ``fastdl.Generator`` to draw from; the default one if None.

    Raises:
        ValueError: num_samples is not positive, or the dataset is empty while indices are asked for.

    Source: ``torch.utils.data.RandomSampler``.

    Example:
        >>> sorted(RandomSampler("abcd"))
        [0, 1, 2, 3]
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples <= 0):
            raise ValueError(f"RandomSampler: num_samples must be a positive int, got {num_samples!r}")

    @property
    def num_samples(self):
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def indices(self):
        size = len(self.data_source)
        if size == 0 and self.num_samples > 0:
            raise ValueError(f"RandomSampler: cannot draw {self.num_samples} indices from an empty dataset")
        generator = _epoch_generator(self.generator)
        if self.replacement and size:
            return fd.randint(0, size, (self.num_samples,), generator=generator)
        permutations = [fd.randperm(size, generator=generator)]
        while len(permutations) * size < self.num_samples:
            permutations.append(fd.randperm(size, generator=generator))
        return fd.cat(permutations)[: self.num_samples]

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(_IndexSampler):
    """Given indices in random order.

    Args:
        indices: sequence of int.
        generator: the ``fastdl.Generator`` to draw from; the default one if None.

    Source: ``torch.utils.data.SubsetRandomSampler``.

    Example:
        >>> sorted(SubsetRandomSampler([3, 1, 8]))
        [1, 3, 8]
    """

    def __init__(self, indices, generator=None):
        self._indices = list(indices)
        self.generator = generator

    def indices(self):
        order = fd.randperm(len(self._indices), generator=_epoch_generator(self.generator))
        return fd.tensor(self._indices, dtype=fd.int64)[order]

    def __len__(self):
        return len(self._indices)


class WeightedRandomSampler(_IndexSampler):
    """Indices drawn with probabilities in proportion to given weights.

    With replacement by inverting the cumulative distribution; without by exponential races: index i gets the key
    ln(u_i) / w_i and the largest keys win (Efraimidis and Spirakis, 2006, Information Processing Letters 97).

    Args:
        weights: sequence of numbers >= 0, one per index; they need not sum to 1.
        num_samples: indices in an epoch.
        replacement: draw each index independently.
        generator: the ``fastdl.Generator`` to draw from; the default one if None.

    Raises:
        ValueError: a weight is negative or not finite, all are zero, num_samples is not positive, or more indices are
            asked for without replacement than there are weights above zero.

    Source: ``torch.utils.data.WeightedRandomSampler``.

    Example:
        >>> list(WeightedRandomSampler([0.0, 3.0], 4))
        [1, 1, 1, 1]
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        import numpy as np

        self.weights = np.asarray(weights.tolist() if isinstance(weights, fd.Tensor) else list(weights), np.float64)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator
        if not isinstance(num_samples, int) or num_samples <= 0:
            raise ValueError(f"WeightedRandomSampler: num_samples must be a positive int, got {num_samples!r}")
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ValueError("WeightedRandomSampler: weights must be a flat sequence of finite numbers >= 0")
        positive = int((self.weights > 0).sum())
        if positive == 0 or (not replacement and num_samples > positive):
            raise ValueError(
                f"WeightedRandomSampler: cannot draw {num_samples} indices "
                f"{'with' if replacement else 'without'} replacement from {positive} weights above zero"
            )

    def indices(self):
        import numpy as np

        count = self.num_samples if self.replacement else len(self.weights)
        uniform = fd.rand(count, generator=_epoch_generator(self.generator), dtype=fd.float64, device="cpu").numpy()
        if self.replacement:
            cumulative = np.cumsum(self.weights)
            drawn = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
            drawn = np.minimum(drawn, np.flatnonzero(self.weights)[-1])
        else:
            keys = np.full(count, -np.inf)
            positive = self.weights > 0
            keys[positive] = np.log1p(-uniform[positive]) / self.weights[positive]
            drawn = np.argsort(-keys, kind="stable")[: self.num_samples]
        return fd.from_numpy(drawn.astype(np.int64))

    def __len__(self):
        return self.num_samples


class DistributedSampler(Sampler):
    """The part of an epoch's order that one of several processes visits; together they visit everything.

    Args:
        dataset: the dataset.
        num_replicas, rank: the number of processes and this one's; from the environment variables WORLD_SIZE and RANK,
            which launchers set, when None.
        shuffle: a new random order every epoch, the same in every process.
        seed: of that order, with the number given to ``set_epoch``.
        drop_last: leave out what does not divide, rather than visit some samples twice.

    Raises:
        ValueError: no number of processes, or a rank outside it.

    Source: ``torch.utils.data.DistributedSampler``.

    Example:
        >>> [list(DistributedSampler("abcde", 2, rank, shuffle=False)) for rank in range(2)]
        [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        num_replicas = os.environ.get("WORLD_SIZE") if num_replicas is None else num_replicas
        rank = os.environ.get("RANK") if rank is None else rank
        if num_replicas is None or rank is None:
            raise ValueError("DistributedSampler: expected num_replicas and rank, or the variables WORLD_SIZE and RANK")
        self.dataset, self.shuffle, self.seed, self.drop_last, self.epoch = dataset, shuffle, seed, drop_last, 0
        self.num_replicas, self.rank = int(num_replicas), int(rank)
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"DistributedSampler: rank {self.rank} of {self.num_replicas} processes")

    @property
    def num_samples(self):
        whole, rest = divmod(len(self.dataset), self.num_replicas)
        return whole + bool(rest and not self.drop_last)

    @property
    def total_size(self):
        return self.num_samples * self.num_replicas

    def set_epoch(self, epoch):
        """Gives the next epoch an order of its own."""
        self.epoch = epoch

    def __iter__(self):
        order = list(range(len(self.dataset)))
        if self.shuffle:
            order = fd.randperm(len(order), generator=fd.Generator().manual_seed(self.seed + self.epoch)).tolist()
        while order and len(order) < self.total_size:  # the first ones again
            order += order[: self.total_size - len(order)]
        return iter(order[: self.total_size][self.rank :: self.num_replicas])

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler):
    """Batches of another sampler's indices.

    Args:
        sampler: iterable of indices.
        batch_size: indices in a batch.
        drop_last: leave out the last batch if it is smaller.

    Raises:
        ValueError: batch_size is no positive int.

    Source: ``torch.utils.data.BatchSampler``.

    Example:
        >>> list(BatchSampler(range(5), 2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler, batch_size, drop_last):
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"BatchSampler: batch_size must be a positive int, got {batch_size!r}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last must be a bool, got {drop_last!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def index_batches(self):
        """The batches as int64 tensors: slices of the sampler's epoch where it is one tensor."""
        if getattr(type(self.sampler), "__iter__", None) is _IndexSampler.__iter__:
            indices = self.sampler.indices()
            count = len(indices)
            stop = count - count % self.batch_size if self.drop_last else count
            for start in range(0, stop, self.batch_size):
                yield indices[start : min(start + self.batch_size, stop)]
        else:
            for batch in self:
                yield fd.tensor(batch, dtype=fd.int64)

    def __len__(self):
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + bool(rest and not self.drop_last)
