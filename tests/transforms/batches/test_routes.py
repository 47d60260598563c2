"""Routes against a plain search of the plan."""

from pathlib import Path

import numpy as np
import pytest
from plain_options import plain_options

from seqmill.transforms.batches.plan_file import plan_checksum, planned_batches, write_plan
from seqmill.transforms.batches.routes import read_route, write_routes
from seqmill.transforms.batches.segment import cut_segments
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking
from seqmill.transforms.planning.plan import plan_epoch, select
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError

FILE_STARTS = [0, 40, 40, 70, 100]


@pytest.fixture
def planned(tmp_path):
    """A plan of 100 sequences in its folder, some in many chunks, and its segments."""
    lengths = {"data": np.random.default_rng(1).integers(1, 30, 100).astype(np.int32)}
    lengths["data"][50:60] = 500
    limits = BatchLimits({"data": 40})
    options = plain_options("data", limits, chunking={"data": KeyChunking(5, 5)}, num_shards=50)
    plan = plan_epoch(select(lengths, options), options, 1)
    write_plan(str(tmp_path), plan)
    sizes = np.ones(plan.num_batches, np.int64)
    return plan, list(cut_segments(plan, plan_checksum(plan), sizes, options, ""))


def test_say_which_shards_need_each_sequence(tmp_path, planned):
    plan, segments = planned
    todo = [segment for segment in segments if segment.shard % 3]

    routes = write_routes(str(tmp_path), todo, FILE_STARTS)

    assert routes[1] is None
    found = []
    for route, first in zip(routes, FILE_STARTS, strict=False):
        found += [] if route is None else [np.add(read_route(str(tmp_path), route), [first, 0])]
    needed = {
        (row, segment.shard) for segment in todo for row in planned_batches(plan, segment).seq_index.tolist()
    }
    assert np.concatenate(found).tolist() == [[*pair] for pair in sorted(needed)]
    assert len({shard for row, shard in needed if row == 50}) > 2


@pytest.mark.parametrize("what", ["changed", "cut", "gone"])
def test_are_never_taken_for_others(tmp_path, planned, what):
    route = write_routes(str(tmp_path), planned[1], FILE_STARTS)[-1]
    path = Path(output_folder.routes_path(str(tmp_path), 1))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content if what == "changed" else content[:-9])
    if what == "gone":
        path.unlink()
    with pytest.raises(SeqmillError, match=r"not what was written|not there"):
        read_route(str(tmp_path), route)
