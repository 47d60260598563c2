"""``seqmill plan --compare``: the time that 12 combinations of options take, and what the process holds.

    python -m benchmarks.compare --sequences 10_000_000

Four orderings and three batch sizes over two data keys, from lengths alone, without reading a configuration.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from itertools import product

import numpy as np

from benchmarks import common
from benchmarks.plan import LengthsOnly
from seqmill.pipelines.compare import figures_of
from seqmill.pipelines.cores import num_cores

ORDERINGS = ("random", "laplace:.100", "laplace:.1000", "sorted")
BATCH_SIZES = (10_000, 20_000, 40_000)


def main() -> None:
    """Measures and prints a table."""
    parser = common.parser(
        __doc__ or "", sequences=(10_000_000, "sequences"), buckets=(0, "length_buckets; 0: none")
    )
    args = parser.parse_args()
    lengths = common.int_lengths(np.random.default_rng(1), args.sequences)
    store = LengthsOnly(lengths)
    options = [
        common.one_epoch(ordering, dict.fromkeys(lengths, size)).options
        for ordering, size in product(ORDERINGS, BATCH_SIZES)
    ]
    if args.buckets:
        buckets = dict.fromkeys(lengths, args.buckets)
        options = [replace(o, batch_limits=replace(o.batch_limits, length_buckets=buckets)) for o in options]
    start, cpu = time.perf_counter(), time.process_time()
    found = figures_of(store, options)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    rows = [
        (f"{one.ordering}, {one.batch_limits.batch_size['data']:,}", f"{figures.num_batches:,}",
         f"{figures.padding_bytes:.1%}", f"{figures.num_shapes:,}", f"{figures.randomness:.2f}")
        for one, figures in zip(options, found, strict=True)
    ]  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    common.print_table(
        f"{len(options)} combinations of {args.sequences:,} sequences on {num_cores()} cores: {took:.1f} s, "
        f"{cpu:.1f} s of CPU time, {peak:,.0f} MiB at most",
        ("ordering, batch_size", "batches", "padding", "shapes", "random"),
        rows,
    )


if __name__ == "__main__":
    main()
