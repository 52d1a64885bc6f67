"""Worker processes that load batches ahead of time.

A pool of ``concurrent.futures`` does the process handling. Tensors travel as NumPy arrays. Every batch is computed from
a seed of its own, so what a pool yields does not depend on how many workers share the work.
"""

import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import fastdl as fd

from .collate import map_container


class WorkerPool:
    """Processes that hold a copy of a dataset and fetch batches from it, in order.

    Args:
        dataset, collate_fn: what to fetch from, and how to make a batch.
        fetch: ``fetch(dataset, collate_fn, indices)`` gives one batch.
        workers: number of processes.
        timeout: seconds to wait for a batch; 0 waits for ever.
        init: called with the worker's number in each worker as it starts, or None.
        context: start method or context of ``multiprocessing``; ``"fork"`` if None, which copies the dataset without
            pickling it.
        first, total: the first worker's number, and how many there are, in other pools too.

    Raises:
        RuntimeError: (from ``map``) a worker died, or took longer than ``timeout``.

    Example:
        >>> pool = WorkerPool("abc", "".join, lambda data, join, indices: join(data[i] for i in indices), workers=2)
        >>> list(pool.map([[2, 1], [0]], seed=0, ahead=2))
        ['cb', 'a']
        >>> pool.close()
    """

    def __init__(self, dataset, collate_fn, fetch, workers, timeout=0, init=None, context=None, first=0, total=None):
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context or "fork")
        self._timeout = timeout or None
        self._executor = ProcessPoolExecutor(
            workers,
            mp_context=context,
            initializer=_start,
            initargs=(dataset, collate_fn, fetch, init, context.Value("i", first), total or workers),
        )

    def map(self, index_source, seed, ahead):
        """Yield the batch of each list of indices, in order, with up to ``ahead`` batches in the making."""
        pending = deque()
        indices = iter(index_source)
        number = 0
        try:
            while True:
                while len(pending) < ahead and (request := next(indices, None)) is not None:
                    pending.append(self._submit(request, seed + number))
                    number += 1
                if not pending:
                    return
                yield map_leaves(self._result(pending.popleft()), _unpack)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "DataLoader: a worker process died (killed, out of memory, or a crash in the dataset)"
            ) from error

    def close(self):
        """Stop the workers. Batches in the making are dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, indices, seed):
        with warnings.catch_warnings():
            # Python warns when a process with threads forks; the library's own threads are made anew in the child.
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            return self._executor.submit(_work, indices, seed)

    def _result(self, future):
        try:
            return future.result(self._timeout)
        except TimeoutError as error:
            if future.done() and future.exception() is error:
                raise  # the dataset's own TimeoutError
            for process in list(self._executor._processes.values()):
                process.kill()  # a worker that hangs would make the end of the program hang too
            raise RuntimeError(
                f"DataLoader: no worker delivered a batch within the timeout of {self._timeout} s"
            ) from error


class _Packed:
    """A tensor on its way between processes; NumPy has no bfloat16, which travels as float32."""

    def __init__(self, array, bfloat16):
        self.array = array
        self.bfloat16 = bfloat16


def _pack(value):
    if not isinstance(value, fd.Tensor):
        return value
    bfloat16 = value.dtype == fd.bfloat16
    value = value.detach().cpu().contiguous()
    return _Packed((value.to(fd.float32) if bfloat16 else value).numpy(), bfloat16)


def _unpack(value):
    if not isinstance(value, _Packed):
        return value
    tensor = fd.from_numpy(value.array)
    return tensor.to(fd.bfloat16) if value.bfloat16 else tensor


def map_leaves(data, function):
    """Apply a function to everything in nested mappings and sequences that is neither.

    Example:
        >>> map_leaves([1, {"a": (2, 3)}], lambda value: -value)
        [-1, {'a': (-2, -3)}]
    """
    mapped = map_container(data, lambda member: map_leaves(member, function))
    return function(data) if mapped is data else mapped


@dataclass
class WorkerInfo:
    """What :func:`get_worker_info` tells: the worker's number, how many there are, the batch's seed, the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: object


_task = None
_info = None


def get_worker_info():
    """In a DataLoader's worker process its ``id``, ``num_workers``, ``seed`` and copy of the ``dataset``; else None.

    Source: ``torch.utils.data.get_worker_info``.

    Example:
        >>> get_worker_info() is None
        True
    """
    return _info


def _start(dataset, collate_fn, fetch, init, counter, total):
    global _task, _info
    _task = dataset, collate_fn, fetch
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    parent = multiprocessing.parent_process()
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    fd.set_num_threads(1)
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    _info = WorkerInfo(number, total, 0, dataset)
    if init is not None:
        init(number)


def _exit_with(parent):
    parent.join()
    os._exit(1)


def _work(indices, seed):
    _info.seed = seed
    fd.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    dataset, collate_fn, fetch = _task
    return map_leaves(fetch(dataset, collate_fn, indices), _pack)
