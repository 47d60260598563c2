"""Planning: sequences a second per core for every ordering, and how planning and pre-batch grow.

    python -m benchmarks.plan --folder /dev/shm

``order + batch`` drops, orders and batches; ``all`` also finds the exact size of every record, cuts shards
and writes the plan. Both run in this one process; rates are per second of CPU time. Growth is the time at
4N and 16N, divided by 4 and 16 times that at N: 1 is linear. Pre-batch is the work of the tasks, without
Beam and its start-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks import common
from seqmill.transforms.batches.begin_epochs import begin, plan_epochs
from seqmill.transforms.batches.layout import lay_out, planned_by
from seqmill.transforms.batches.plan_file import write_plan
from seqmill.transforms.batches.segment import receipt_path
from seqmill.transforms.batches.write_shards import WriteShards
from seqmill.transforms.planning.plan import plan_epoch, select
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files
from seqmill.transforms.store.sequence_store import Store

ORDERINGS = (
    "default",
    "reverse",
    "random",
    "sorted",
    "sorted_reverse",
    "laplace:2",
    "laplace:.1000",
    "laplace:.100000",
)
_BATCH_SIZE = 4000
_GROWTH = (1, 4, 16)


def main() -> None:
    """Measures both and prints two tables."""
    parser = common.parser(
        __doc__ or "",
        sequences=(10_000_000, "N of the rates"),
        growth=(250_000, "N of the growth"),
        rounds=(3, "runs of each, of which the fastest counts"),
    )
    args = parser.parse_args()
    with common.scratch(args.folder) as folder:
        common.print_table(
            f"planning {args.sequences:,} sequences, one process",
            (
                "ordering",
                "data keys",
                "batches",
                "order + batch, CPU s",
                "all, CPU s",
                "M seqs/s",
                "M seqs/s, all",
            ),
            [_rate(text, keys, args.sequences, args.rounds, folder) for keys in (1, 2) for text in ORDERINGS],
        )
        common.print_table(
            f"growth from N = {args.growth:,} short sequences, CPU time",
            (
                "",
                *(f"{factor} N, s" for factor in _GROWTH),
                *(f"{factor} N : linear" for factor in _GROWTH[1:]),
            ),
            _growth(args.growth, args.rounds, folder),
        )


def _rate(ordering: str, num_keys: int, num_seqs: int, rounds: int, folder: str) -> Sequence[object]:
    lengths = common.int_lengths(np.random.default_rng(1), num_seqs)
    lengths = {key: lengths[key] for key in list(lengths)[:num_keys]}
    schedule = common.one_epoch(ordering, dict.fromkeys(lengths, _BATCH_SIZE))
    options = schedule.options
    planning = fastest(lambda: plan_epoch(select(lengths, options), options, 1), rounds)
    store = LengthsOnly(lengths)
    whole = fastest(lambda: _lay_out_and_write(store, schedule, folder), rounds)
    batches = plan_epoch(select(lengths, options), options, 1).num_batches
    rates = (f"{num_seqs / took / 1e6:.1f}" for took in (planning, whole))
    return (ordering, num_keys, f"{batches:,}", f"{planning:.2f}", f"{whole:.2f}", *rates)


class LengthsOnly(Store):
    """A store of which there is nothing but the length index."""

    def __init__(self, lengths: Mapping[str, np.ndarray]):
        keys = {key: common.INTS[key] for key in lengths}
        self.manifest = common.store_manifest(keys, [], len(next(iter(lengths.values()))), {})
        self.lengths = dict(lengths)  # type: ignore[misc]
        self.tag_sizes = np.full(len(lengths["data"]), 24)  # type: ignore[misc]


def _lay_out_and_write(store: Store, schedule: Schedule, folder: str) -> None:
    for layout in lay_out(store, planned_by(store, schedule)):
        write_plan(folder, layout.plan)


def _growth(num_seqs: int, rounds: int, folder: str) -> list[Sequence[object]]:
    stores = [
        common.write_store(f"{folder}/store-{factor}", common.INTS, common.int_blocks(factor * num_seqs))
        for factor in _GROWTH
    ]
    rows = []
    for ordering in ORDERINGS:
        schedule = common.one_epoch(ordering, dict.fromkeys(common.INTS, _BATCH_SIZE))
        took = [fastest(lambda s=s, o=schedule: _lay_out_and_write(s, o, folder), rounds) for s in stores]
        rows.append(_growth_row(f"plan, {ordering}", took))
    for ordering in ("default", "random", "laplace:.1000"):
        schedule = common.one_epoch(ordering, dict.fromkeys(common.INTS, _BATCH_SIZE))
        took = [fastest(lambda s=s, o=schedule: _prebatch(s, o, folder), 1) for s in stores]
        rows.append(_growth_row(f"pre-batch, {ordering}", took))
    return rows


def _prebatch(store: Store, schedule: Schedule, folder: str) -> None:
    planned = plan_epochs(folder, store, planned_by(store, schedule), {})
    begin(planned)
    work = WriteShards(folder, store.folder, store.manifest.fingerprint, schedule, planned.run)
    for segment in planned.segments:
        work(segment)
        for path in (files.join(folder, segment.file), receipt_path(folder, segment)):
            files.remove(path)


def fastest(run: Callable[[], object], rounds: int) -> float:
    """The least CPU time of some runs, in seconds."""
    least = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        run()
        least = min(least, time.process_time() - start)
    return least


def _growth_row(what: str, took: list[float]) -> Sequence[object]:
    ratios = [seconds / (factor * took[0]) for factor, seconds in zip(_GROWTH, took, strict=True)]
    return (what, *(f"{seconds:.2f}" for seconds in took), *(f"{ratio:.2f}" for ratio in ratios[1:]))


if __name__ == "__main__":
    main()
