"""A corpus in RETURNN's own data set class, and what RETURNN makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
from returnn.datasets import basic
from returnn.datasets.generating import StaticDataset

from seqmill.transforms.planning.permutation import Permutation

KEYS = ("data", "classes")

# A chunk: the sequence's row in the corpus, then (first frame, end) in each of KEYS.
Chunk = tuple[int, tuple[int, int], tuple[int, int]]


def random_lengths(seed: int, num_seqs: int, longest: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    data = rng.integers(1, longest + 1, num_seqs)
    # Short ones are common, so that ties and many sequences per batch occur.
    data = np.where(rng.random(num_seqs) < 0.5, np.minimum(data, 9), data)
    classes = rng.integers(1, data // 2 + 2)
    return {"data": data.astype(np.int32), "classes": classes.astype(np.int32)}


def returnn_dataset(lengths: dict[str, np.ndarray], epoch: int = 1, **options: object) -> StaticDataset:
    rows = zip(*(lengths[key].tolist() for key in KEYS), strict=True)
    data = [{key: np.zeros(n, np.int8) for key, n in zip(KEYS, row, strict=True)} for row in rows]
    dataset = StaticDataset(data=data, output_dim=dict.fromkeys(KEYS, (1, 1)), **options)
    dataset.init_seq_order(epoch=epoch)
    return dataset


def returnn_order(lengths: dict[str, np.ndarray], epoch: int, **options: object) -> list[int]:
    return [int(i) for i in returnn_dataset(lengths, epoch, **options).get_current_seq_order()]


def returnn_chunks(dataset: StaticDataset) -> list[Chunk]:
    order = dataset.get_current_seq_order()
    return [_chunk(order[seq], start, end) for seq, start, end in dataset.iterate_seqs()]


def returnn_batches(dataset: StaticDataset, **limits: object) -> list[list[Chunk]]:
    order = dataset.get_current_seq_order()
    batches = dataset._generate_batches(recurrent_net=True, **limits)
    return [
        [_chunk(order[part.seq_idx], part.seq_start_frame, part.seq_end_frame) for part in batch.seqs]
        for batch in batches
    ]


@contextmanager
def returnn_permutes_like_seqmill(run_seed: int, first_seed: int = 1) -> Iterator[None]:
    """RETURNN's code runs as it is, but the generator it makes for a pass permutes as seqmill does.

    RETURNN seeds the generator of pass 0 with 1, that of pass 1 with 2, …, or with ``fixed_random_seed``.
    """

    class Generator(np.random.RandomState):
        def __init__(self, seed: int):
            super().__init__(seed)
            self.number = seed - first_seed

        def permutation(self, n: int) -> np.ndarray:
            return Permutation(n, run_seed, self.number)(np.arange(n))

    with mock.patch.object(basic.numpy.random, "RandomState", Generator):
        yield


def _chunk(row: int, start: object, end: object) -> Chunk:
    first, second = ((int(start[key]), int(end[key])) for key in KEYS)
    return int(row), first, second
