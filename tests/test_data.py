"""fastdl.data: datasets, samplers, collation, and that all paths of the DataLoader agree."""

import collections
import multiprocessing
import os
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl as fd
from fastdl import data
from fastdl.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)


class Rows(Dataset):
    """The rows of a TensorDataset, but through __getitem__ only."""

    def __init__(self, *tensors):
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self):
        return len(self.tensors[0])


def columns(size=23):
    return fd.arange(size * 3).reshape(size, 3).to(fd.float32), fd.arange(size) * 10


def as_lists(batches):
    return [[column.tolist() for column in batch] for batch in batches]


# --- datasets


def test_tensor_dataset_rejects_what_is_not_rows_of_the_same_count():
    with pytest.raises(ValueError, match=r"\[\[3\], \[4, 2\]\]"):
        TensorDataset(fd.zeros(3), fd.zeros(4, 2))
    with pytest.raises(ValueError, match="first dimension"):
        TensorDataset(fd.tensor(1.0))
    with pytest.raises(TypeError, match="list"):
        TensorDataset([1, 2])
    with pytest.raises(TypeError):
        TensorDataset()


def test_concat_dataset_indexes_across_borders():
    joined = Subset("abcd", [1, 2]) + ConcatDataset(["", "x", "yz"])
    assert [joined[i] for i in range(5)] == ["b", "c", "x", "y", "z"]
    assert joined[-1] == "z"
    assert joined[-5] == "b"
    for index in (5, -6):
        with pytest.raises(IndexError, match="out of range for 5"):
            joined[index]
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])


@given(st.integers(0, 60), st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_random_split_is_a_partition(size, shares):
    fractions = [share / sum(shares) for share in shares]
    parts = random_split(range(size), fractions)
    assert sorted(part[i] for part in parts for i in range(len(part))) == list(range(size))
    assert all(abs(len(part) - size * fraction) <= len(parts) for part, fraction in zip(parts, fractions))


def test_random_split_counts_and_errors():
    generator = fd.Generator()
    generator.manual_seed(3)
    first = random_split(range(10), [7, 3], generator)
    generator.manual_seed(3)
    second = random_split(range(10), [7, 3], generator)
    assert [part.indices for part in first] == [part.indices for part in second]
    assert [len(part) for part in first] == [7, 3]
    for lengths in ([7, 4], [12, -2], [0.5, 0.4], [1.5, -0.5]):
        with pytest.raises(ValueError, match="random_split"):
            random_split(range(10), lengths)


# --- samplers


def test_random_samplers_cover_what_they_should():
    assert sorted(RandomSampler(range(50))) == list(range(50))
    assert sorted(RandomSampler(range(4), num_samples=8)) == [0, 0, 1, 1, 2, 2, 3, 3]
    drawn = list(RandomSampler(range(5), replacement=True, num_samples=1000))
    counts = collections.Counter(drawn)
    assert set(counts) == set(range(5))
    assert max(counts.values()) < 300  # 200 expected, 12.6 standard deviation
    assert sorted(SubsetRandomSampler([5, 9, 9])) == [5, 9, 9]
    assert len(RandomSampler(range(4), num_samples=7)) == 7


def test_random_sampler_changes_from_epoch_to_epoch_and_repeats_from_the_seed():
    sampler = RandomSampler(range(30))
    fd.manual_seed(1)
    first, second = list(sampler), list(sampler)
    fd.manual_seed(1)
    assert [list(sampler), list(sampler)] == [first, second]
    assert first != second


@pytest.mark.parametrize("replacement", [True, False])
def test_weighted_sampler_frequencies(replacement):
    fd.manual_seed(0)
    weights = [1.0, 0.0, 3.0, 4.0]
    epochs = 4000
    sampler = WeightedRandomSampler(weights, 1, replacement)
    counts = collections.Counter(index for _ in range(epochs) for index in sampler)
    assert counts[1] == 0
    for index, weight in enumerate(weights):
        p = weight / 8
        assert abs(counts[index] - epochs * p) <= 5 * (epochs * p * (1 - p)) ** 0.5


def test_weighted_sampler_without_replacement_is_distinct_and_skips_zero_weights():
    assert sorted(WeightedRandomSampler([1, 0, 5, 2], 3, replacement=False)) == [0, 2, 3]


@pytest.mark.parametrize(
    ("weights", "count", "replacement"),
    [([1, -1], 1, True), ([0, 0], 1, True), ([1, float("nan")], 1, True), ([1, 0], 2, False), ([1], 0, True)],
)
def test_weighted_sampler_errors(weights, count, replacement):
    with pytest.raises(ValueError, match="WeightedRandomSampler"):
        WeightedRandomSampler(weights, count, replacement)


def test_batch_sampler():
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert [len(BatchSampler(range(n), 2, drop)) for n in (0, 4, 5) for drop in (False, True)] == [0, 0, 2, 2, 3, 2]
    for size in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="batch_size"):
            BatchSampler(range(5), size, False)
    with pytest.raises(ValueError, match="num_samples"):
        RandomSampler(range(3), num_samples=0)
    with pytest.raises(ValueError, match="empty"):
        list(RandomSampler([], num_samples=2))


# --- collation


def test_default_collate_structures():
    Point = collections.namedtuple("Point", "x y")
    batch = default_collate(
        [
            {"tensor": fd.ones(2) * i, "array": np.full(3, i, np.int32), "point": Point(i, i / 2), "name": str(i)}
            for i in range(2)
        ]
    )
    assert batch["tensor"].tolist() == [[0, 0], [1, 1]]
    assert batch["array"].dtype == fd.int32
    assert tuple(batch["array"].shape) == (2, 3)
    assert batch["point"].x.dtype == fd.int64
    assert batch["point"].y.dtype == fd.float64
    assert batch["point"].y.tolist() == [0, 0.5]
    assert batch["name"] == ["0", "1"]
    assert default_collate([np.float32(1.5)]).dtype == fd.float32
    assert default_collate([True, False]).dtype == fd.bool


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([fd.ones(2), fd.ones(3)], r"shapes.*\(2,\).*\(3,\) in number 2 of 2"),
        ([np.ones(2), np.ones((2, 1))], "shapes"),
        ([(1, 2), (1,)], "lengths"),
        ([{"a": 1}, {"b": 1}], "keys"),
        ([fd.ones(2), 3], "type"),
        ([], "empty"),
    ],
)
def test_default_collate_refuses_uneven_samples(batch, message):
    with pytest.raises(ValueError, match=message):
        default_collate(batch)


def test_default_collate_refuses_unknown_types():
    with pytest.raises(TypeError, match="object"):
        default_collate([object()])
    with pytest.raises(TypeError, match="dtype"):
        default_collate([np.array(["text"])])


# --- the loader


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_gather_items_and_workers_give_the_same_batches(shuffle, drop_last):
    x, y = columns()
    batches = []
    for dataset, workers in ((TensorDataset(x, y), 0), (Rows(x, y), 0), (Rows(x, y), 2)):
        fd.manual_seed(7)
        loader = DataLoader(dataset, batch_size=5, shuffle=shuffle, drop_last=drop_last, num_workers=workers)
        batches.append(as_lists(loader))
        assert len(loader) == len(batches[-1]) == (4 if drop_last else 5)
    assert batches[0] == batches[1] == batches[2]
    seen = sorted(value for _, labels in batches[0] for value in labels)
    if not drop_last:
        assert seen == y.tolist()
    assert (seen[:5] == batches[0][0][1]) != shuffle


def test_gather_goes_through_nested_subsets():
    x, y = columns(10)
    subset = Subset(Subset(TensorDataset(x, y), range(9, -1, -1)), [0, 3, 4])
    ((rows, labels),) = DataLoader(subset, batch_size=8)
    assert labels.tolist() == [90, 60, 50]
    assert rows.tolist() == x[[9, 6, 5]].tolist()


def test_batches_are_copies():
    x, y = columns(6)
    before = x.tolist()
    for rows, _ in DataLoader(TensorDataset(x, y), batch_size=4):
        rows.zero_()
    assert x.tolist() == before


def test_a_subclass_with_its_own_items_is_not_gathered():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * column for column in super().__getitem__(index))

    x, y = columns(4)
    for dataset in (Doubled(x, y), Subset(Doubled(x, y), range(4))):
        ((_, labels),) = DataLoader(dataset, batch_size=4)
        assert labels.tolist() == [0, 20, 40, 60]


def test_a_sampler_subclass_with_its_own_order_is_respected():
    class Backwards(SequentialSampler):
        def __iter__(self):
            return iter(range(len(self) - 1, -1, -1))

    x, y = columns(4)
    dataset = TensorDataset(x, y)
    ((_, labels),) = DataLoader(dataset, batch_size=4, sampler=Backwards(dataset))
    assert labels.tolist() == [30, 20, 10, 0]
    batches = as_lists(DataLoader(dataset, batch_sampler=[[3], [0, 2]]))
    assert [labels for _, labels in batches] == [[30], [0, 20]]


def test_order_follows_the_generator_and_the_random_state():
    x, y = columns()
    generator = fd.Generator()
    loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True, generator=generator)
    generator.manual_seed(5)
    first, second = as_lists(loader), as_lists(loader)
    generator.manual_seed(5)
    assert as_lists(loader) == first != second

    loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True)
    state = fd.get_rng_state()
    first = as_lists(loader)
    fd.set_rng_state(state)
    assert as_lists(loader) == first


def test_no_batching_and_own_collate():
    x, y = columns(3)
    assert [label.item() for _, label in DataLoader(TensorDataset(x, y), batch_size=None)] == [0, 10, 20]
    assert list(DataLoader("abc", batch_size=2, collate_fn="".join)) == ["ab", "c"]


def test_index_out_of_range_is_an_error_on_each_path():
    x, y = columns(3)
    for dataset in (TensorDataset(x, y), Rows(x, y)):
        with pytest.raises(IndexError):
            list(DataLoader(dataset, batch_sampler=[[0, 3]]))


def test_empty_dataset_gives_no_batches():
    empty = TensorDataset(fd.zeros(0, 3))
    assert list(DataLoader(empty, batch_size=2)) == list(DataLoader(empty, batch_size=2, shuffle=True)) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"num_workers": -1},
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_size": None, "drop_last": True},
        {"prefetch_factor": 2},
        {"num_workers": 1, "prefetch_factor": 0},
        {"persistent_workers": True},
        {"timeout": -1},
    ],
    ids=str,
)
def test_contradicting_arguments(arguments):
    with pytest.raises(ValueError, match=r"DataLoader|BatchSampler"):
        DataLoader([0, 1], **arguments)


# --- workers


class Noise(Dataset):
    """Augmentation that draws from every random number generator."""

    def __getitem__(self, index):
        return index, fd.rand(1).item(), random.random(), np.random.rand()

    def __len__(self):
        return 12


def test_random_augmentation_does_not_depend_on_the_number_of_workers():
    runs = []
    for workers in (1, 2, 3):
        fd.manual_seed(11)
        runs.append(as_lists(DataLoader(Noise(), batch_size=2, shuffle=True, num_workers=workers)))
    assert runs[0] == runs[1] == runs[2]
    values = [value for batch in runs[0] for column in batch[1:] for value in column]
    assert len(set(values)) == len(values)


class Slow(Dataset):
    """The first samples take longest."""

    def __getitem__(self, index):
        time.sleep(0.1 if index < 2 else 0)
        return {"index": index, "half": fd.tensor([index, 0.5]).to(fd.bfloat16)}

    def __len__(self):
        return 8


def test_workers_keep_the_order_and_the_dtypes():
    batches = list(DataLoader(Slow(), batch_size=1, num_workers=2, prefetch_factor=3))
    assert [batch["index"].item() for batch in batches] == list(range(8))
    assert batches[3]["half"].dtype == fd.bfloat16
    assert batches[3]["half"].tolist() == [[3.0, 0.5]]


def test_persistent_workers_stay(tmp_path):
    def note(worker):
        (tmp_path / f"{worker}-{os.getpid()}").touch()

    loader = DataLoader(Noise(), batch_size=4, num_workers=2, persistent_workers=True, worker_init_fn=note)
    list(loader), list(loader)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["0", "1"]
    loader._pool.close()


class Failing(Dataset):
    def __init__(self, fail):
        self.fail = fail

    def __getitem__(self, index):
        if index == 3:
            self.fail()
        return index

    def __len__(self):
        return 6


def raise_key_error():
    raise KeyError("sample 3 is broken")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_dataset_s_error_comes_through(workers):
    loader = DataLoader(Failing(raise_key_error), batch_size=1, num_workers=workers)
    iterator = iter(loader)
    assert [next(iterator).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="sample 3 is broken"):
        next(iterator)


def test_a_worker_that_dies_is_reported():
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(DataLoader(Failing(lambda: os._exit(9)), batch_size=1, num_workers=2))


def test_a_worker_that_hangs_is_reported():
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timeout of 0\.5 s"):
        list(DataLoader(Failing(lambda: time.sleep(60)), batch_size=1, num_workers=2, timeout=0.5))
    assert time.monotonic() - started < 20


def test_leaving_an_epoch_early_stops_the_workers():
    iterator = iter(DataLoader(Slow(), batch_size=1, num_workers=2))
    assert next(iterator)["index"].item() == 0
    iterator.close()
    assert not [p for p in multiprocessing.active_children() if p.is_alive()]


def test_custom_sampler_base_class():
    with pytest.raises(NotImplementedError, match="Plain must define __iter__"):
        iter(type("Plain", (Sampler,), {})())
    with pytest.raises(NotImplementedError, match="Plain must define __getitem__"):
        type("Plain", (Dataset,), {})()[0]


# --- streams ---


class Stream(data.IterableDataset):
    """Numbers from 0 on: all of them, or in a worker process those that are its own."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        info = data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, self.count, step))

    def __len__(self):
        return self.count


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_stream_is_cut_into_batches(drop_last):
    loader = data.DataLoader(Stream(7), batch_size=3, drop_last=drop_last)
    expected = [[0, 1, 2], [3, 4, 5], [6]][: 2 if drop_last else 3]
    for _ in range(2):
        assert [b.tolist() for b in loader] == expected
    assert len(loader) == len(expected)
    assert list(data.DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]


@pytest.mark.parametrize("persistent", [False, True])
def test_each_worker_has_a_part_of_the_stream(persistent):
    loader = data.DataLoader(Stream(11), batch_size=2, num_workers=2, persistent_workers=persistent, timeout=60)
    for _ in range(2):
        assert [b.tolist() for b in loader] == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    if persistent:
        for pool in loader._pool:
            pool.close()


def test_streams_chain_and_datasets_stack():
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2] and len(Stream(2) + Stream(3)) == 5
    with pytest.raises(TypeError, match="expected IterableDatasets, got list"):
        list(data.ChainDataset([[1, 2]]))
    stacked = data.StackDataset(fd.arange(4), ["a", "b", "c", "d"])
    assert [(int(x), y) for x, y in (stacked[i] for i in range(4))][3] == (3, "d") and len(stacked) == 4
    batch = next(iter(data.DataLoader(data.StackDataset(x=fd.arange(4), y=[1.0, 2.0, 3.0, 4.0]), batch_size=4)))
    assert batch["x"].tolist() == [0, 1, 2, 3] and batch["y"].dtype is fd.float64
    for arguments in ((), ([1], [1, 2])):
        with pytest.raises(ValueError, match="StackDataset"):
            data.StackDataset(*arguments)
    with pytest.raises(ValueError, match="excludes shuffle"):
        data.DataLoader(Stream(2), shuffle=True)


@pytest.mark.parametrize("drop_last", [False, True])
def test_processes_share_an_epoch(drop_last, monkeypatch):
    samplers = [data.DistributedSampler(range(10), 3, rank, seed=5, drop_last=drop_last) for rank in range(3)]
    parts = [list(s) for s in samplers]
    assert {len(p) for p in parts} == {len(s) for s in samplers} == {3 if drop_last else 4}
    assert len({i for p in parts for i in p}) == (9 if drop_last else 10)
    for s in samplers:
        s.set_epoch(1)
    assert [list(s) for s in samplers] != parts
    with pytest.raises(ValueError, match="num_replicas and rank"):
        data.DistributedSampler(range(3))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert list(data.DistributedSampler(range(4), shuffle=False)) == [1, 3]
