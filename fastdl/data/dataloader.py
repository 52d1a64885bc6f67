"""Batches from a dataset: a gather from memory, in this process, or by worker processes."""

from collections import deque
from itertools import islice, repeat

import fastdl as fd

from .collate import default_collate, default_convert
from .dataset import IterableDataset, in_memory
from .sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed
from .workers import WorkerPool


class DataLoader:
    """Iterate over a dataset in batches.

    Each ``iter()`` is one epoch. Its order follows from the state of ``generator`` (of the default generator if that is
    None) when it starts, so an epoch can be repeated after ``manual_seed`` or ``set_rng_state``.

    Three paths give the same batches:

    - a ``TensorDataset``, or a ``Subset`` of one, without a ``collate_fn``: each batch is one gather per tensor, and
      ``num_workers`` is not used, since moving the batch between processes would cost more than the gather;
    - other datasets with ``num_workers=0``: ``dataset[i]`` for each index, then ``collate_fn``;
    - ``num_workers > 0``: the same in worker processes, ``prefetch_factor`` batches ahead each, given back in order.
      Before each batch a worker seeds ``fastdl``, ``random`` and (where it is imported) ``numpy.random`` from one seed
      of the epoch and the batch's number: random augmentation does not depend on the number of workers.

    An ``IterableDataset`` has an order of its own; each worker process iterates over a copy of it.

    Args:
        dataset: object with ``__getitem__`` and ``__len__``, or an ``IterableDataset``.
        batch_size: samples in a batch; None gives single samples, not collated.
        shuffle: visit the samples in random order.
        sampler: iterable of indices, instead of ``shuffle``.
        batch_sampler: iterable of lists of indices, instead of ``batch_size``, ``shuffle``, ``sampler``, ``drop_last``.
        num_workers: worker processes; 0 loads in this one.
        collate_fn: list of samples -> batch; ``default_collate`` if None.
        pin_memory: accepted for compatibility; memory is not pinned.
        drop_last: leave out the last batch if it is smaller.
        timeout: seconds to wait for a worker's batch; 0 waits for ever.
        worker_init_fn: called with the worker's number in each worker as it starts.
        multiprocessing_context: start method or context of ``multiprocessing``; ``"fork"`` if None.
        generator: the ``fastdl.Generator`` to draw from; the default one if None.
        prefetch_factor: batches that each worker prepares ahead; 2 if None.
        persistent_workers: keep the workers from one epoch to the next.
        pin_memory_device, in_order: accepted for compatibility; batches always come in order.

    Raises:
        ValueError: arguments that contradict each other or are out of range.
        RuntimeError: (while iterating) a worker died or took longer than ``timeout``. An exception of the dataset or
            ``collate_fn`` comes through as it is, from workers too.

    Source: ``torch.utils.data.DataLoader``.

    Example:
        >>> import fastdl as fd
        >>> from fastdl.data import TensorDataset
        >>> loader = DataLoader(TensorDataset(fd.arange(5)), batch_size=2)
        >>> [batch.tolist() for (batch,) in loader]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    ):
        if not isinstance(num_workers, int) or num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must be an int >= 0, got {num_workers!r}")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout must be >= 0 seconds, got {timeout!r}")
        if num_workers == 0 and (prefetch_factor is not None or persistent_workers or timeout):
            raise ValueError("DataLoader: prefetch_factor, persistent_workers and timeout need num_workers > 0")
        if prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError(f"DataLoader: prefetch_factor must be at least 1, got {prefetch_factor!r}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle exclude each other")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last needs a batch_size")
        streamed = isinstance(dataset, IterableDataset)
        if streamed and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: an IterableDataset excludes shuffle, sampler and batch_sampler")

        if sampler is None and not streamed:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
            drop_last = False
        elif batch_size is not None and not streamed:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        batched = batch_sampler is not None or (streamed and batch_size is not None)
        self._gathered = in_memory(dataset) if collate_fn is None and batched and not streamed else None
        self._fetch = _fetch_batch if batched else _fetch_sample
        self._streamed = streamed
        self._epoch = 0
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self._pool = None

    def __len__(self):
        if self._streamed:
            whole, rest = divmod(len(self.dataset), self.batch_size or 1)
            return whole + bool(rest and not self.drop_last)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)

    def __iter__(self):
        seed = draw_seed(self.generator)  # on every path, so that the order does not depend on the path
        if self._streamed:
            yield from self._stream_batches(seed)
        elif self._gathered is not None:
            yield from self._gather_batches()
        elif self.num_workers:
            yield from self._worker_batches(seed)
        else:
            for request in self._requests():
                yield self._fetch(self.dataset, self.collate_fn, request)

    def _requests(self):
        return self.batch_sampler if self.batch_sampler is not None else self.sampler

    def _gather_batches(self):
        tensors, rows = self._gathered
        if type(self.batch_sampler) is BatchSampler:
            batches = self.batch_sampler.index_batches()
        else:
            batches = (fd.tensor(list(batch), dtype=fd.int64) for batch in self.batch_sampler)
        for index in batches:
            if rows is not None:
                index = rows[index]
            yield [tensor[index] for tensor in tensors]

    def _workers(self, fetch, workers, first=0):
        return WorkerPool(
            self.dataset,
            self.collate_fn,
            fetch,
            workers=workers,
            timeout=self.timeout,
            init=self.worker_init_fn,
            context=self.multiprocessing_context,
            first=first,
            total=self.num_workers,
        )

    def _stream_batches(self, seed):
        if not self.num_workers:
            stream = _Stream(self.batch_size, self.drop_last)
            while found := stream(self.dataset, self.collate_fn, 0):
                yield found[0]
            return
        pools = self._pool or [
            self._workers(_Stream(self.batch_size, self.drop_last), 1, number) for number in range(self.num_workers)
        ]
        self._pool = pools if self.persistent_workers else None
        self._epoch += 1
        # A worker's batches have seeds of their own: no stream has 2^40 batches.
        ahead = self.prefetch_factor or 2
        streams = deque(p.map(repeat(self._epoch), seed + (i << 40), ahead) for i, p in enumerate(pools))
        try:
            while streams:
                found = next(streams[0])
                if found:
                    yield found[0]
                    streams.rotate(-1)
                else:
                    streams.popleft().close()
        except BaseException:
            self._pool = None
            for pool in pools:
                pool.close()
            raise
        if not self.persistent_workers:
            for pool in pools:
                pool.close()

    def _worker_batches(self, seed):
        pool = self._pool or self._workers(self._fetch, self.num_workers)
        self._pool = pool if self.persistent_workers else None
        try:
            yield from pool.map(self._requests(), seed, ahead=self.num_workers * (self.prefetch_factor or 2))
        except BaseException:
            self._pool = None
            pool.close()
            raise
        if not self.persistent_workers:
            pool.close()


def _fetch_sample(dataset, convert, index):
    return convert(dataset[index])


def _fetch_batch(dataset, collate_fn, indices):
    return collate_fn([dataset[index] for index in indices])


class _Stream:
    """Batches of an iterable dataset, one a call: [batch], or [] at the end. It lives where the calls are made."""

    def __init__(self, batch_size, drop_last):
        self.batch_size, self.drop_last = batch_size, drop_last
        self._iterator = self._epoch = None

    def __call__(self, dataset, collate_fn, epoch):
        if epoch != self._epoch:
            self._epoch, self._iterator = epoch, iter(dataset)
        samples = list(islice(self._iterator, self.batch_size or 1))
        if not samples or (self.drop_last and len(samples) < self.batch_size):
            return []
        return [collate_fn(samples if self.batch_size else samples[0])]
