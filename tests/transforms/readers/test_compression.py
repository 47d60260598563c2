"""Compressed files: whole ones are read whole, damaged ones up to the damage."""

import gzip
import os
import subprocess
import sys
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seqmill.transforms.readers.compression import GZIP, ZLIB, ZSTD, codec_of, decompressed
from seqmill.transforms.readers.split import DamagedFileError

PACKS = {"gzip": (GZIP, gzip.compress), "zlib": (ZLIB, zlib.compress), "zstd": (ZSTD, zstandard.compress)}
CONTENT = np.random.default_rng(1).integers(97, 105, 500_000, np.uint8).tobytes()


@pytest.fixture
def read(tmp_path):
    """read(codec, packed) → (content, what is damaged)."""

    def read(codec, packed):
        path = tmp_path / "file"
        path.write_bytes(packed)
        found, pieces = None, []
        stream = decompressed(str(path), codec)
        while found is None:
            try:
                pieces.append(next(stream))
            except StopIteration:
                break
            except DamagedFileError as error:
                found = str(error)
        return b"".join(pieces), found

    return read


@pytest.mark.parametrize("name", PACKS)
def test_members_follow_each_other_and_zeros_are_padding(read, name):
    codec, pack = PACKS[name]
    for packed, expected in (
        (pack(CONTENT), CONTENT),
        (pack(b"a") + pack(CONTENT) + pack(b"") + pack(b"b"), b"a" + CONTENT + b"b"),
        (pack(CONTENT) + bytes(100_000), CONTENT),
    ):
        assert read(codec, packed) == (expected, None)


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99999])
def test_a_file_cut_short_is_damaged_and_read_up_to_there(read, name, share):
    codec, pack = PACKS[name]
    packed = pack(CONTENT)
    content, damage = read(codec, packed[: int(len(packed) * share)])
    assert "cut short" in damage
    assert CONTENT.startswith(content)
    assert len(content) >= len(CONTENT) * share - 150_000


@pytest.mark.parametrize("name", PACKS)
def test_no_flipped_bit_passes(read, name):
    codec, pack = PACKS[name]
    packed = (
        pack(CONTENT) if name != "zstd" else zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT)
    )
    rng = np.random.default_rng(0)
    # What gzip's header says of time and system is no content.
    for place in rng.integers(10, len(packed), 30).tolist():
        broken = bytearray(packed)
        broken[place] ^= 1 << int(rng.integers(8))
        content, damage = read(codec, bytes(broken))
        assert damage is not None or content == CONTENT


def test_garbage_behind_a_member_is_damage(read):
    content, damage = read(GZIP, gzip.compress(CONTENT) + b"garbage")
    assert content == CONTENT
    assert "no gzip data at byte" in damage


def test_a_large_window_is_read(tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    path = tmp_path / "a"
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    path.write_bytes(compressor.compress(CONTENT))
    assert codec_of(str(path)) is ZSTD
    assert b"".join(decompressed(str(path), ZSTD)) == CONTENT


BOUNDED = """
import resource, sys
from seqmill.transforms.readers import ReadOptions, delimited, jsonl, open_split, split_corpus
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
format, path, fields = sys.argv[1], sys.argv[2], sys.argv[3:]
for split in split_corpus(format, [path], 1 << 24, ReadOptions(10_000_000)):
    reader = open_split(split, fields)
    for position, record in reader:
        print(position, getattr(record, "reason", "record"))
    print(reader.damaged)
"""


def bounded(format, path, *fields):
    ended = subprocess.run(
        [sys.executable, "-c", BOUNDED, format, str(path), *fields],
        capture_output=True,
        text=True,
        # Each arena of malloc is 64 MB of addresses, and threads take new ones as the moment has it.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "1"},
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize(("format", "pack"), [("jsonl", "zstd"), ("csv", "zstd"), ("tsv", "gzip")])
def test_a_small_file_with_a_huge_line_is_read_in_bounded_memory(tmp_path, format, pack):
    start, end = (b'{"a": 1}\n', b'{"a": 2}\n') if format == "jsonl" else (b"a\n1\n", b"2\n")
    path = tmp_path / "corpus"
    size = 400_000_000 if pack == "zstd" else 50_000_000
    with path.open("wb") as file:
        packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) if pack == "gzip" else None
        stream = packed or zstandard.ZstdCompressor(level=1).stream_writer(file, closefd=False)
        stream.write(start)
        for _ in range(size // 10_000_000):
            stream.write(b"x" * 10_000_000)
        stream.write(b"\n" + end)
        stream.close()
    assert bounded(format, path, "a") == [
        "0 record", "1 larger than max_record_size", "2 record", "None"
    ]  # fmt: skip


def test_a_small_parquet_file_of_much_text_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "corpus.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), ["a" * 1_000_000])
    pq.write_table(pa.table({"a": text}), path)
    assert path.stat().st_size < 100_000
    assert bounded("parquet", path, "a") == [*(f"{i} record" for i in range(3000)), "None"]


def test_a_parquet_row_of_too_many_numbers_is_rejected_unread(tmp_path):
    path = tmp_path / "corpus.parquet"
    values = pa.array(np.zeros(20_000_000, np.int8))
    rows = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    pq.write_table(pa.table({"a": rows}), path)
    assert bounded("parquet", path, "a") == ["0 larger than max_record_size", "None"]
