"""The constants in docs/scale.md against what the code makes, and what the page derives from them."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import orjson
import pytest
from apache_beam.coders import FastPrimitivesCoder
from plain_options import plain_options
from pydantic import TypeAdapter

from seqmill.transforms.batches.corpus_epochs import CorpusEpochs
from seqmill.transforms.batches.plan_file import plan_checksum
from seqmill.transforms.batches.record import record_sizes
from seqmill.transforms.batches.segment import cut_segments
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import plan_epoch, select
from seqmill.transforms.store.corpus_splits import split_bytes
from seqmill.transforms.store.length_index import index_schema
from seqmill.transforms.store.sequence_store import StoreFile

PAGE = (Path(__file__).parents[2] / "docs/scale.md").read_text()
INTS = ArraySpec("ints", "<i4", (), 1000)
KEYS = {"data": INTS, "classes": INTS}
OPTIONS = plain_options(
    "data", BatchLimits(dict.fromkeys(KEYS, 4000)), ordering=parse_ordering("laplace:.1000"), shard_size=10**7
)


def said(row):
    """The first number in a row of the page's tables."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {row} |")]
    return float(re.search(r"\d[\d,.]*", line.split("|")[2])[0].replace(",", ""))


def lengths_of(num_seqs):
    drawn = np.random.default_rng(1).gamma(4.0, 7.5, num_seqs)
    return {key: np.clip(drawn, 1, 200).astype(np.int32) for key in KEYS}


def test_bytes_of_files():
    schema = index_schema(KEYS, has_tags=False)
    assert said("length index") == sum(field.type.bit_width // 8 for field in schema)
    plan = plan_epoch(select(lengths_of(200_000), OPTIONS), OPTIONS, 1)
    file = plan_checksum(plan)
    assert said("plan file") == pytest.approx(file.bytes / 200_000, rel=0.02)
    sizes = record_sizes(plan, KEYS, np.full(200_000, 24, np.int32))
    segment = next(cut_segments(plan, file, sizes, OPTIONS, ""))
    assert said("segment in the job") == pytest.approx(
        len(FastPrimitivesCoder().encode((0, segment))), rel=0.05
    )
    entry = StoreFile(
        file="sequences-123456.arrow",
        fingerprint="0" * 32,
        source="corpus-12345.parquet",
        first_position=123_456,
        num_positions=2_560,
        batch_rows=(320,) * 8,
        bytes=256_000_000,
        xxh128="0" * 32,
        rejected={},
        converted={},
        unknown={},
    )
    content = orjson.dumps(
        [TypeAdapter(StoreFile).dump_python(entry, mode="json")], option=orjson.OPT_INDENT_2
    )
    assert said("file in a store's manifest") == pytest.approx(len(content), rel=0.3)


@pytest.mark.long
def test_memory_of_planning():
    """By what four million sequences hold beyond two: the blocks that both are handled in cancel out."""
    peaks = []
    for num_seqs in (2_000_000, 4_000_000):
        lengths, tag_sizes = lengths_of(num_seqs), np.full(num_seqs, 24, np.int32)
        tracemalloc.start()
        record_sizes(plan_epoch(select(lengths, OPTIONS), OPTIONS, 1), KEYS, tag_sizes)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    of_tags = 4
    assert (peaks[1] - peaks[0]) / 2_000_000 + of_tags <= said("planning, memory")


def test_what_is_derived():
    seqs, size = 1e9, 1e14
    shard = CorpusEpochs.model_fields["shard_size"].default
    splits, shards = size / split_bytes(int(size)), size / shard
    for row, value in {
        "length index of all": seqs * said("length index") / 1e9,
        "plan of an epoch": seqs * said("plan file") / 1e9,
        "memory to plan": seqs * said("planning, memory") / 1e9,
        "CPU time to plan": seqs / said("planning, rate") / 1e6,
        "splits": splits,
        "store's manifest": splits * said("file in a store's manifest") / 1e6,
        "segments of an epoch": shards,
        "job of an epoch": shards * said("segment in the job") / 1e6,
        "routes of an epoch": seqs * said("routes") / 1e9,
        "shuffle of an epoch": (size + seqs * said("piece of a shuffle")) / 1e12,
    }.items():
        assert said(row) == pytest.approx(value, rel=0.03), row
