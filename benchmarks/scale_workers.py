"""One worker process against several, for ingest and for pre-batch: what each adds.

    python -m benchmarks.scale_workers --folder /dev/shm

Whole steps, from the moment the first worker begins to the end, planning, hashes and manifests in; the time
until the first worker begins is listed apart. One and several alternate, and the least of each figure counts.
On a machine that others use, wall time says little of what the code can do; so the CPU seconds of the busiest
worker, with those of planning, are listed too: ``by CPU`` is how much faster the workers are when nobody else
is there. What cores slow each other down by (memory, caches) is in CPU seconds; waiting for a disk is not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple

from benchmarks import common
from benchmarks import ingest as ingesting
from benchmarks.common import Took
from seqmill.transforms.storage import files


def main() -> None:
    """Measures every kind of work and prints a table."""
    parser = common.parser(
        __doc__ or "",
        gigabytes=(1.0, "size of the float corpus"),
        sequences=(2_000_000, "size of the corpus of short sequences"),
        megabytes=(200.0, "size of the jsonl file"),
        minutes=(60.0, "length of all audio files"),
        workers=(2, "processes, against one"),
        rounds=(3, "runs of each, of which the fastest counts"),
    )
    args = parser.parse_args()
    with common.scratch(args.folder) as folder:
        rows = [_row(name, _fastest(run, args)) for name, run in _kinds(folder, args)]
    columns = ("", "workers", "start-up s", "wall s", "CPU s", "busiest s", "times one", "by CPU")
    several = [row for pair in rows for row in pair]
    common.print_table("one worker and several", columns, several, common.load_of_machine())


def _kinds(folder: str, args: argparse.Namespace) -> Iterator[tuple[str, Callable[[int], Took]]]:
    """What to do: its name, and what runs it with a number of workers."""
    floats = common.write_store(
        f"{folder}/floats", common.FLOATS, common.float_blocks(int(args.gigabytes * 1e9))
    )
    ints = common.write_store(f"{folder}/ints", common.INTS, common.int_blocks(args.sequences))
    for name, store, size in (("floats", floats, 40_000), ("short ints", ints, 4_000)):
        schedule = common.one_epoch("laplace:.1000", dict.fromkeys(store.data_keys, size))

        def prebatch(workers: int, store=store, schedule=schedule) -> Took:  # type: ignore[no-untyped-def]
            took = common.prebatch(store, schedule, f"{folder}/epochs", workers)
            files.remove(f"{folder}/epochs")
            return took

        yield f"pre-batch {name}", prebatch
        files.remove(store.folder)
    for corpus in ingesting.corpora(folder, args.megabytes, args.minutes):
        yield f"ingest {corpus.name}", corpus.ingest


def _fastest(run: Callable[[int], Took], args: argparse.Namespace) -> dict[int, Took]:
    runs: dict[int, list[Took]] = {1: [], args.workers: []}
    for _ in range(args.rounds):
        for workers, took in runs.items():
            with contextlib.redirect_stderr(io.StringIO()):
                took.append(run(workers))
    return {
        workers: Took(*(min(figures) for figures in zip(*map(astuple, took), strict=True)))
        for workers, took in runs.items()
    }


def _row(name: str, runs: dict[int, Took]) -> list[Sequence[object]]:
    one = runs[1]
    return [
        (
            name,
            workers,
            f"{took.startup:.1f}",
            f"{took.wall:.2f}",
            f"{took.cpu:.2f}",
            f"{took.longest:.2f}",
            f"{one.wall / took.wall:.2f}",
            f"{one.longest / took.longest:.2f}",
        )
        for workers, took in runs.items()
    ]


if __name__ == "__main__":
    main()
