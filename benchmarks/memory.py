"""Peak anonymous memory of ``seqmill preprocess``, driver and workers, for a small and a large corpus.

    python -m benchmarks.memory --folder /dev/shm

Both corpora are float32 features [T, 80] in Parquet files, which repeat the same gigabyte. Each step runs as
a user would run it, and every 20 ms RssAnon of each of its processes is read from /proc; memory-mapped files
are not in it, as the system takes them back when it needs to.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import common
from seqmill.transforms.storage import files

_POLL_SECONDS = 0.02
_DISTINCT = 1.0  # gigabytes
_STEPS = ("ingest", "preprocess")
CONFIG = """
output = "{folder}/out"
batch_size = 40000
seq_ordering = "laplace:.1000"

[data.data]
type = "floats"

[corpus.train]
format = "parquet"
files = ["{folder}/corpus-*.parquet"]
"""

COLUMNS = ("float32 [T, 80]", "driver MB", "largest worker MB", "all together MB", "s", "MB/s")

Peaks = tuple[int, ...]


def main() -> None:
    """Runs both corpora and prints a table."""
    parser = common.parser(
        __doc__ or "",
        small=(0.2, "size of the small corpus in gigabytes"),
        large=(2.0, "size of the large corpus in gigabytes"),
        workers=(2, "worker processes"),
        leave=(2.0, "gigabytes of the disk that are left free, or all ends"),
    )
    args = parser.parse_args()
    with common.scratch(args.folder) as folder:
        paths = _write_parquet(folder, int(min(args.small, _DISTINCT) * 1e9))
        runs = [_run(size, paths, folder, args) for size in (args.small, args.large)]
    rows: list[Sequence[object]] = []
    for step in _STEPS:
        for size, run in zip((args.small, args.large), runs, strict=True):
            rows.append((step, *row(size, *run[step])))
        rows.append((step, *row_of_ratios(*(run[step][0] for run in runs))))
    common.print_table(f"peak anonymous memory, {args.workers} workers", ("", *COLUMNS), rows)


def row(gigabytes: float, peaks: Peaks, seconds: float) -> Sequence[str]:
    """What a step took for a corpus of a size, in ``COLUMNS``."""
    figures = [f"{peak / 1e6:,.0f}" for peak in peaks]
    return (f"{gigabytes:g} GB", *figures, f"{seconds:.0f}", f"{gigabytes * 1e3 / seconds:,.0f}")


def row_of_ratios(small: Peaks, large: Peaks) -> Sequence[str]:
    """The peaks for a large corpus against those for a small one, in ``COLUMNS``."""
    return ("large : small", *(f"{b / a:.2f}" for a, b in zip(small, large, strict=True)), "", "")


def _run(
    gigabytes: float, paths: list[str], folder: str, args: argparse.Namespace
) -> dict[str, tuple[Peaks, float]]:
    """Per step its peaks and seconds, for a corpus that repeats ``paths`` up to a size."""
    with common.scratch(folder) as own:
        size = sum(pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size for path in paths)
        for number in range(round(gigabytes * 1e9 / size * len(paths))):
            os.link(paths[number % len(paths)], f"{own}/corpus-{number:05d}.parquet")
        Path(own, "config.toml").write_text(CONFIG.format(folder=own))
        return {step: peaks_of(step, own, args.workers, args.leave) for step in _STEPS}


def peaks_of(step: str, folder: str, workers: int, leave: float) -> tuple[Peaks, float]:
    """Of a command the largest RssAnon of driver, any worker, and all at the same time; its seconds."""
    command = [sys.executable, "-m", "seqmill.pipelines.main", step, f"{folder}/config.toml"]
    command += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    start = time.monotonic()
    with Path(folder, "errors").open("w") as errors:
        driver = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peaks = (0, 0, 0)
        while driver.poll() is None:
            own_size = anonymous(driver.pid)
            others = [anonymous(child.pid) for child in driver.children(recursive=True)]
            peaks = tuple(map(max, peaks, (own_size, max(others, default=0), own_size + sum(others))))
            if shutil.disk_usage(folder).free < leave * 1e9:
                driver.terminate()
            time.sleep(_POLL_SECONDS)
    if driver.returncode:
        raise SystemExit(Path(folder, "errors").read_text())
    return peaks, time.monotonic() - start


def anonymous(pid: int) -> int:
    """RssAnon of a process in bytes; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon")), 0)


def _write_parquet(folder: str, num_bytes: int) -> list[str]:
    """Files that are far smaller than what they hold: of few values, compressed."""
    paths = []
    for number, block in enumerate(common.float_blocks(num_bytes)):
        values, lengths = np.round(block["data"].values * 2) / 2, block["data"].lengths
        frames = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 80)
        offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32))
        table = pa.table({"data": pa.ListArray.from_arrays(offsets, frames)})
        paths.append(files.join(folder, f"part-{number:05d}.parquet"))
        pq.write_table(table, paths[-1], compression="zstd", use_dictionary=False)
    return paths


if __name__ == "__main__":
    main()
