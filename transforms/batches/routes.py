"""Where the sequences of a store go in an epoch: its plan turned round, so that nobody searches it.

A plan says of every shard which sequences it needs. Who reads the store for all shards asks the other way
round, and would search the plan for every part of the store. So routes are made once from the plan: a file
per epoch with a pair for every sequence and shard that needs it, int32 [pairs, 2] of its row in its file of
the store and the shard, in this order. The part that concerns one file of the store is one read of 8 bytes
a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xxhash

from seqmill.transforms.batches.plan_file import read_batches
from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError

_PAIR_BYTES = 8


@dataclass(frozen=True)
class Route:
    """The part of an epoch's routes that concerns one file of the store; small.

    Attributes:
        epoch: The epoch.
        first_pair: Where it begins in the file of the epoch.
        num_pairs: How long it is.
        shard: A shard that needs some of the sequences.
        xxh128: Hash of the part.
    """

    epoch: int
    first_pair: int
    num_pairs: int
    shard: int
    xxh128: str


def write_routes(folder: str, segments: Sequence[Segment], file_starts: Sequence[int]) -> list[Route | None]:
    """Writes the routes of an epoch into a corpus folder.

    Args:
        folder: The corpus' folder of epochs, which holds the epoch's plan.
        segments: The segments that are to be written, all of one epoch.
        file_starts: First row of every file of the store, and the number of rows.

    Returns:
        A route per file of the store; None where no segment needs anything of it.
    """
    in_order = sorted(segments, key=lambda segment: segment.shard)
    epoch, first = in_order[0].epoch, in_order[0].first_batch
    planned = read_batches(folder, epoch, in_order[0].plan, first, in_order[-1].last_batch)
    num_shards = in_order[-1].shard + 1
    numbers, end = np.empty(len(planned.seq_index), np.int64), 0
    for segment in in_order:
        starts = planned.batch_starts[[segment.first_batch - first, segment.last_batch - first]]
        rows = np.sort(planned.seq_index[slice(*starts.tolist())])
        rows = rows[np.diff(rows, prepend=-1) != 0]  # of several chunks, or there several times
        numbers[end : end + len(rows)] = rows.astype(np.int64) * num_shards + segment.shard
        end += len(rows)
    numbers = numbers[:end]
    numbers.sort()
    edges = np.searchsorted(numbers, np.array(file_starts, np.int64) * num_shards).tolist()
    routes = []
    with files.write_atomically(output_folder.routes_path(folder, epoch)) as file:
        for first_row, (start, end) in zip(file_starts, pairwise(edges), strict=False):
            pairs = np.stack(np.divmod(numbers[start:end], num_shards), axis=1)
            pairs = (pairs - [first_row, 0]).astype("<i4")
            file.write(pairs.data)
            routes.append(_route(pairs, epoch, start))
    return routes


def read_route(folder: str, route: Route) -> np.ndarray:
    """Every sequence of one file of the store with a shard that needs it, int32 [pairs, 2], rising.

    Raises:
        SeqmillError: They are not there, or not what was written.
    """
    path = output_folder.routes_path(folder, route.epoch)
    try:
        with files.open_read(path) as file:
            file.seek(_PAIR_BYTES * route.first_pair)
            content = file.read(_PAIR_BYTES * route.num_pairs)
    except FileNotFoundError:
        raise SeqmillError(f"{path}: not there; the run that it belongs to has ended") from None
    if xxhash.xxh3_128_hexdigest(content) != route.xxh128:
        raise SeqmillError(f"{path}: not what was written; run again")
    return np.frombuffer(content, "<i4").reshape(-1, 2)


def remove_routes(folder: str) -> None:
    """Removes all routes from a corpus folder."""
    files.remove(output_folder.routes_folder(folder))


def _route(pairs: np.ndarray, epoch: int, first_pair: int) -> Route | None:
    if not len(pairs):
        return None
    return Route(epoch, first_pair, len(pairs), int(pairs[-1, 1]), xxhash.xxh3_128_hexdigest(pairs.data))
