"""Peak anonymous memory of pre-batch for a small and a very large store of float32 features.

    python -m benchmarks.scale_memory --folder /tmp --large 20

The stores are written directly, so that a disk need hold no raw corpus; ``seqmill preprocess`` then runs as a
user would run it. ``benchmarks.memory`` measures ingest, too. The disk must hold twice the large store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import common, memory
from seqmill.transforms.storage import files

_CONFIG = 'store = "{folder}/given"' + memory.CONFIG  # whose files are not there, and not needed


def main() -> None:
    """Runs both sizes and prints a table."""
    parser = common.parser(
        __doc__ or "",
        small=(2.0, "size of the small store in gigabytes"),
        large=(20.0, "size of the large store in gigabytes"),
        workers=(2, "worker processes"),
        leave=(6.0, "gigabytes of the disk that are left free, or all ends"),
    )
    args = parser.parse_args()
    rows: list[Sequence[object]] = []
    found = []
    for size in (args.small, args.large):
        with common.scratch(args.folder) as folder:
            given = files.join(folder, "given/store/train")
            common.write_store(given, common.FLOATS, common.float_blocks(int(size * 1e9)))
            Path(folder, "config.toml").write_text(_CONFIG.format(folder=folder))
            peaks, seconds = memory.peaks_of("preprocess", folder, args.workers, args.leave)
        found.append(peaks)
        rows.append(memory.row(size, peaks, seconds))
    rows.append(memory.row_of_ratios(*found))
    title = f"peak anonymous memory of pre-batch, {args.workers} workers"
    common.print_table(title, memory.COLUMNS, rows, common.load_of_machine())


if __name__ == "__main__":
    main()
