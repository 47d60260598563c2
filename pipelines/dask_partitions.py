"""Beam's runner on Dask, with as many partitions as suit the cluster.

A partition is what a Dask worker does at once. Beam puts 128 elements into one, which leaves one worker with
all the work. One each is no better: a ``GroupByKey`` of n partitions is some n√n tasks for Dask, each a
millisecond or more (75,000 of them for a thousand elements).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apache_beam.runners.dask.dask_runner import DaskRunner

_PER_THREAD = 4  # so that threads end at about the same time
_FEWEST = 16  # where workers have not come yet


class PartitionedDaskRunner(DaskRunner):
    """``DaskRunner``; where flags say nothing of partitions, a few for each thread of the cluster."""

    def to_dask_bag_visitor(self, bag_kwargs: Mapping[str, int] | None = None) -> Any:
        """Called by ``DaskRunner`` once it is connected."""
        return DaskRunner.to_dask_bag_visitor(bag_kwargs or {"npartitions": _num_partitions()})


def _num_partitions() -> int:
    from distributed import default_client

    return max(_FEWEST, _PER_THREAD * sum(default_client().nthreads().values()))
