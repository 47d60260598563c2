"""Planning of very many sequences: time and peak memory from the length index to plan file and segments.

    python -m benchmarks.scale_plan --folder /tmp --sequences 100000000

The store has a length index and a manifest as ingest would write them, and no Arrow files, which planning
does not read. ``seqmill plan`` runs as a user would run it; ``plan + write`` does in a process of its own
what ``preprocess`` does before its first task: plan, exact sizes, segments, plan file, manifest. Peak memory
is the largest RssAnon (what is mapped can be taken back by the system), read from /proc every 20 ms.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import common
from benchmarks.memory import anonymous
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.store.length_index import index_schema, write_index
from seqmill.transforms.store.sequence_store import Store, StoreFile, write_manifest

_POLL_SECONDS = 0.02
_SEQS_PER_FILE = 130_000  # of 240 bytes in a split
_CONFIG = """
output = "{folder}/out"
store = "{folder}/given"
batch_size = 4000
seq_ordering = "{ordering}"
num_epochs = 1

[data.data]
type = "ints"
[data.classes]
type = "ints"

[corpus.train]
format = "jsonl"
files = ["{folder}/synthetic.jsonl"]
"""
_WRITE = """
import sys
from seqmill.pipelines.config import load_config
from seqmill.transforms.batches.begin_epochs import begin, plan_epochs
from seqmill.transforms.batches.layout import planned_by
from seqmill.transforms.store.sequence_store import Store

schedule = load_config(sys.argv[1]).schedule_of("train")
store = Store(sys.argv[2])
work = plan_epochs(sys.argv[3], store, planned_by(store, schedule), {})
begin(work)
print(len(work.segments), work.num_bytes)
"""


def main() -> None:
    """Plans with every ordering and prints a table."""
    parser = common.parser(
        __doc__ or "",
        sequences=(100_000_000, "sequences of the store"),
        limit=(16e9, "address space of a process, in bytes; what is mapped counts"),
    )
    parser.add_argument("--orderings", default="laplace:.1000,random,sorted", help="separated by commas")
    args = parser.parse_args()
    rows: list[Sequence[object]] = []
    with common.scratch(args.folder) as folder:
        store = f"{folder}/given/store/train"
        index_bytes = _write_index(store, args.sequences)
        for ordering in args.orderings.split(","):
            config = Path(folder, "config.toml")
            config.write_text(_CONFIG.format(folder=folder, ordering=ordering))
            seqmill = [sys.executable, "-m", "seqmill.pipelines.main", "plan", str(config), "--json"]
            write = [sys.executable, "-c", _WRITE, str(config), store, f"{folder}/epochs"]
            for name, command in (("seqmill plan", seqmill), ("plan + write", write)):
                seconds, cpu, peak = _run(command, args.limit)
                rows.append(
                    (
                        name,
                        ordering,
                        f"{args.sequences:,}",
                        f"{seconds:.1f}",
                        f"{cpu:.1f}",
                        f"{args.sequences / cpu / 1e6:.1f}",
                        f"{peak / 1e6:,.0f}",
                        f"{peak / args.sequences:.1f}",
                    )
                )
            plan_bytes = files.size(output_folder.plan_path(f"{folder}/epochs", 1))
            files.remove(f"{folder}/epochs")
    columns = (
        "",
        "ordering",
        "sequences",
        "wall s",
        "CPU s",
        "M seqs / CPU s",
        "peak MB",
        "bytes a sequence",
    )
    note = (
        f"length index {index_bytes / args.sequences:.2f} bytes a sequence, "
        f"plan file {plan_bytes / args.sequences:.2f}"
    )
    common.print_table("planning one epoch of two data keys of short sequences", columns, rows, note)


def _write_index(folder: str, num_seqs: int) -> int:
    """A store that has everything but its Arrow files. Returns the bytes of the length index."""
    rng = np.random.default_rng(1)
    nums = [_SEQS_PER_FILE] * (num_seqs // _SEQS_PER_FILE)
    if rest := num_seqs - sum(nums):
        nums.append(rest)
    schema, batches = index_schema(common.INTS, has_tags=False), []
    for num in nums:
        lengths = common.int_lengths(rng, num)
        columns = [*lengths.values(), np.arange(num, dtype=np.int32)]
        batches.append(pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema))
    index = write_index(output_folder.lengths_path(folder), pa.Table.from_batches(batches))
    entries = [
        StoreFile(
            file=output_folder.store_file_name(number),
            fingerprint="",
            source="synthetic.jsonl",
            first_position=1 + number * _SEQS_PER_FILE,
            num_positions=num,
            batch_rows=(num,),
            bytes=1,
            xxh128="0" * 32,
            rejected={},
            converted={},
            unknown={},
        )
        for number, num in enumerate(nums)
    ]
    others = {output_folder.LENGTHS_NAME: index}
    write_manifest(folder, common.store_manifest(common.INTS, entries, num_seqs, others))
    assert Store(folder).num_seqs == num_seqs
    return index.bytes


def _run(command: list[str], limit: float) -> tuple[float, float, int]:
    """Seconds, CPU seconds and peak of RssAnon of a process that must succeed."""
    start, before = time.monotonic(), _cpu_of_children()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit))),
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous(process.pid))
        time.sleep(_POLL_SECONDS)
    seconds, cpu = time.monotonic() - start, _cpu_of_children() - before
    if process.returncode:
        assert process.stderr is not None
        raise SystemExit(process.stderr.read().decode())
    return seconds, cpu, peak


def _cpu_of_children() -> float:
    """CPU seconds of all processes that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
