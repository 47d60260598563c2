"""Where the sequences of a store go in an epoch: its plan turned round, so that nobody searches it.

A plan says of every shard which sequences it needs. Who reads the store for all shards asks the other way
round, and would search the plan for every part of the store. So routes are made once from the plan: a file
per epoch with the first and the last shard that need each sequence, int32 [sequences of the store, 2], -1
where none does. The part that concerns one file of the store is one read of 8 bytes a sequence.
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

_ROW_BYTES = 8
_NOWHERE = -1


@dataclass(frozen=True)
class Route:
    """The part of an epoch's routes that concerns one file of the store; small.

    Attributes:
        epoch: The epoch.
        first_row: Row in the store of the file's first sequence.
        last_row: The row behind its last.
        shard: A shard that needs some of them.
        xxh128: Hash of the part.
    """

    epoch: int
    first_row: int
    last_row: int
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
    shards = np.full((file_starts[-1], 2), _NOWHERE, "<i4")
    in_order = sorted(segments, key=lambda segment: segment.shard)
    epoch, first = in_order[0].epoch, in_order[0].first_batch
    planned = read_batches(folder, epoch, in_order[0].plan, first, in_order[-1].last_batch)
    for segment in in_order:
        starts = planned.batch_starts[[segment.first_batch - first, segment.last_batch - first]]
        rows = planned.seq_index[slice(*starts.tolist())]
        shards[rows, 1] = segment.shard
        shards[rows[shards[rows, 0] == _NOWHERE], 0] = segment.shard
    with files.write_atomically(output_folder.routes_path(folder, epoch)) as file:
        file.write(shards.data)
    return [_route(shards, epoch, first, last) for first, last in pairwise(file_starts)]


def read_route(folder: str, route: Route) -> np.ndarray:
    """First and last shard of every sequence of one file of the store, int32 [rows, 2].

    Raises:
        SeqmillError: They are not there, or not what was written.
    """
    path = output_folder.routes_path(folder, route.epoch)
    try:
        with files.open_read(path) as file:
            file.seek(_ROW_BYTES * route.first_row)
            content = file.read(_ROW_BYTES * (route.last_row - route.first_row))
    except FileNotFoundError:
        raise SeqmillError(f"{path}: not there; the run that it belongs to has ended") from None
    if xxhash.xxh3_128_hexdigest(content) != route.xxh128:
        raise SeqmillError(f"{path}: not what was written; run again")
    return np.frombuffer(content, "<i4").reshape(-1, 2)


def remove_routes(folder: str) -> None:
    """Removes all routes from a corpus folder."""
    files.remove(output_folder.routes_folder(folder))


def _route(shards: np.ndarray, epoch: int, first: int, last: int) -> Route | None:
    part = shards[first:last]
    wanted = part[:, 1].max(initial=_NOWHERE)
    if wanted == _NOWHERE:
        return None
    return Route(epoch, first, last, int(wanted), xxhash.xxh3_128_hexdigest(part.data))
