"""Peak anonymous memory of ``seqmill preprocess``, driver and workers, for a small and a large corpus.

    python -m benchmarks.memory --folder /dev/shm

Both corpora are float32 features [T, 80] in Parquet files. The command line runs as a user would run it, and
every 20 ms RssAnon of each of its processes is read from /proc; memory-mapped files are not in it, as the
system takes them back when it needs to.
"""

from __future__ import annotations

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
_CONFIG = """
output = "{folder}/out"
batch_size = 40000
seq_ordering = "laplace:.1000"

[data.data]
type = "floats"

[corpus.train]
format = "parquet"
files = ["{folder}/corpus-*.parquet"]
"""


def main() -> None:
    """Runs both corpora and prints a table."""
    parser = common.parser(
        __doc__ or "",
        small=(0.2, "size of the small corpus in gigabytes"),
        large=(2.0, "size of the large corpus in gigabytes"),
        workers=(2, "worker processes"),
    )
    args = parser.parse_args()
    sizes = (args.small, args.large)
    with common.scratch(args.folder) as folder:
        peaks = [_peaks(size, folder, args.workers) for size in sizes]
    rows: list[Sequence[object]] = [
        (f"{size:g} GB", *(f"{peak / 1e6:,.0f}" for peak in peak_of))
        for size, peak_of in zip(sizes, peaks, strict=True)
    ]
    rows.append(("large : small", *(f"{large / small:.2f}" for small, large in zip(*peaks, strict=True))))
    columns = ("float32 [T, 80]", "driver MB", "largest worker MB", "all together MB")
    common.print_table(f"peak anonymous memory, {args.workers} workers", columns, rows)


def _peaks(gigabytes: float, folder: str, workers: int) -> tuple[int, int, int]:
    """The largest RssAnon of the driver, of any worker, and of all at the same time, in bytes."""
    with common.scratch(folder) as own:
        _write_parquet(own, int(gigabytes * 1e9))
        Path(own, "config.toml").write_text(_CONFIG.format(folder=own))
        command = [sys.executable, "-m", "seqmill.pipelines.main", "preprocess", f"{own}/config.toml"]
        command += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
        driver = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        peaks = (0, 0, 0)
        while driver.poll() is None:
            own_size = anonymous(driver.pid)
            others = [anonymous(child.pid) for child in driver.children(recursive=True)]
            now = (own_size, max(others, default=0), own_size + sum(others))
            peaks = tuple(map(max, peaks, now))  # type: ignore[assignment]
            time.sleep(_POLL_SECONDS)
        if driver.returncode:
            raise SystemExit(driver.stderr.read().decode())
    return peaks


def anonymous(pid: int) -> int:
    """RssAnon of a process in bytes; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon")), 0)


def _write_parquet(folder: str, num_bytes: int) -> None:
    for number, block in enumerate(common.float_blocks(num_bytes)):
        ragged = block["data"]
        frames = pa.FixedSizeListArray.from_arrays(pa.array(ragged.values.reshape(-1)), 80)
        offsets = pa.array(np.concatenate(([0], np.cumsum(ragged.lengths))).astype(np.int32))
        table = pa.table({"data": pa.ListArray.from_arrays(offsets, frames)})
        path = files.join(folder, f"corpus-{number:05d}.parquet")
        pq.write_table(table, path, compression="none", use_dictionary=False)


if __name__ == "__main__":
    main()
