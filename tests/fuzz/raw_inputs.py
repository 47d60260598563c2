"""Damaged raw corpora: whatever is in them, sums are right and what is kept is what was written."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from command import seqmill
from google_crc32c import value as crc32c
from mutations import damaged

from seqmill.transforms.records import tfrecord
from seqmill.transforms.store.sequence_store import Store

Record = tuple[str, tuple[int, ...], str]  # tag, x, y


@dataclass(frozen=True)
class Format:
    """A format to damage.

    Attributes:
        name: ``format`` in the configuration.
        file: Name of the file.
        write: Makes the file of records.
        read: Makes of a damaged file what may be kept: an independent reading, without seqmill's code; None
            where that cannot be said.
        protected: The format's own checksums let nothing but the records that were written pass.
        fields: What tag, x and y are called in it.
    """

    name: str
    file: str
    write: Callable[[list[Record]], bytes]
    read: Callable[[bytes], Iterable[Record]] | None = None
    protected: bool = False
    fields: tuple[str, str, str] = ("id", "x", "y")


class RawInputs:
    """One case after another, each in the same folder.

    Args:
        folder: Scratch.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, seed: int) -> str:
        """One case. Returns what happened, in a word or two; raises AssertionError where that is wrong."""
        random = Random(seed)
        kind = random.choice(FORMATS)
        records = [_record(random, number) for number in range(random.randint(1, 30))]
        whole = kind.write(records)
        content = damaged(whole, random)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / kind.file).write_bytes(content)
        allow = random.random() < 0.3
        config = self.folder / "config.toml"
        tag, x, y = kind.fields
        said = {"format": kind.name, "file": kind.file, "tag": tag, "x": x, "y": y}
        config.write_text(CONFIG.format(allow=str(allow).lower(), **said))
        ended = seqmill("ingest", config)
        _check_manners(ended)
        if ended.code:
            return f"{kind.file}: refused"
        store = Store(str(self.folder / "out/store/train"))
        kept = _kept(store)
        counts = store.manifest.counts
        rejected = sum(counts.rejected.values())
        assert counts.read == len(kept) + rejected, counts
        # A Parquet file's footer has no checksum: what is changed in it can change any value. That of gzip is
        # behind the data: whoever allows damaged sources gets all that was unpacked before it did not fit.
        protected = kind.protected and not (kind.name == "parquet" and _footer(content) != _footer(whole))
        protected = protected and not (kind.file.endswith((".gz", ".zip")) and allow)
        if protected:
            # What stands in the file twice by damage is read twice.
            assert set(kept) <= set(records), f"{set(kept) - set(records)} were kept, but never written"
            if not allow and not _is_another_whole(kind, content):
                assert counts.read == len(records), f"{counts}, but {len(records)} were written"
        elif kind.read is not None:
            _check_in_order(kept, list(kind.read(content)))
        return f"{kind.file}: {'rejected some' if rejected else 'kept all that is there'}"


def _footer(content: bytes) -> bytes:
    return content[-8 - int.from_bytes(content[-8:-4], "little") :]


CONFIG = """output = "out"
batch_size = 1000
[data.x]
field = "{x}"
type = "ints"
[data.y]
field = "{y}"
type = "bytes"
[corpus.train]
format = "{format}"
files = ["{file}"]
seq_tag = "{tag}"
max_rejected = 1.0
allow_damaged = {allow}
"""


def _record(random: Random, number: int) -> Record:
    x = tuple(random.randrange(-1000, 1000) for _ in range(random.randint(1, 20)))
    return f"r{number:04d}", x, "".join(random.choice("abcxyz äö") for _ in range(random.randint(1, 15)))


def _check_manners(ended) -> None:
    assert ended.code in (0, 1, 2), ended.output
    assert "Traceback" not in ended.output, ended.output
    if ended.code:
        assert any(line.startswith("seqmill: ") for line in ended.output.splitlines()), ended.output


def _kept(store: Store) -> list[Record]:
    return [
        (
            store.tag(row).decode(errors="surrogateescape"),
            tuple(store.sequence("x", row).tolist()),
            store.sequence("y", row).tobytes().decode(errors="surrogateescape"),
        )
        for row in range(store.num_seqs)
    ]


def _check_in_order(kept: list[Record], allowed: list[Record]) -> None:
    rest = iter(allowed)
    for record in kept:
        assert any(record == other for other in rest), f"{record} was kept, but is not in the file (here)"


def _is_another_whole(kind: Format, content: bytes) -> bool:
    """Whether a damaged file is an undamaged one of another number of records, which nobody can notice."""
    if kind.name == "tfrecord":
        position = 0
        while position + 16 <= len(content):
            (length,) = struct.unpack_from("<Q", content, position)
            end = position + 16 + length
            if end > len(content):
                return False
            crcs = (content[position + 8 : position + 12], content[end - 4 : end])
            parts = (content[position : position + 8], content[position + 12 : end - 4])
            if any(
                struct.pack("<I", tfrecord.masked(crc32c(p))) != c for p, c in zip(parts, crcs, strict=True)
            ):
                return False
            position = end
        return position == len(content)
    if kind.name == "jsonl":
        with contextlib.suppress(OSError, EOFError, zlib.error):
            gzip.decompress(content)
            return True
    return False


def _jsonl(records: list[Record]) -> bytes:
    return b"".join(json.dumps({"id": t, "x": x, "y": y}).encode() + b"\n" for t, x, y in records)


def _from_jsonl(content: bytes) -> Iterable[Record]:
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        try:
            value = json.loads(line.decode())
        except ValueError:
            continue
        if isinstance(value, dict) and {"id", "x", "y"} <= value.keys():
            yield from _plain(value["id"], value["x"], value["y"])


def _plain(tag, x, y) -> Iterable[Record]:
    """A record as it may be kept: single numbers are sequences of one, numbers may be written as 3.0."""
    numbers = x if isinstance(x, list) else [x]
    if isinstance(tag, str) and isinstance(y, str):
        try:
            yield tag, tuple(int(number) for number in numbers), y
        except (TypeError, ValueError, OverflowError):
            return


def _table(delimiter: str, quoting: int) -> Callable[[list[Record]], bytes]:
    def write(records: list[Record]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n", quotechar='"')
        writer.writerow(["id", "x", "y"])
        writer.writerows([t, " ".join(map(str, x)), y] for t, x, y in records)
        return text.getvalue().encode()

    return write


def _from_table(delimiter: str, quoting: int) -> Callable[[bytes], Iterable[Record]]:
    def read(content: bytes) -> Iterable[Record]:
        text = content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
        # Where lines end is a matter of the format alone; what is kept must be a row in either reading.
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting))
        head = rows[0] if rows else []
        for row in rows[1:]:
            named = dict(zip(head, row, strict=False))
            if {"id", "x", "y"} <= named.keys():
                try:
                    x = tuple(int(float(number)) for number in named["x"].split())
                except (ValueError, OverflowError):
                    continue
                yield named["id"], x, named["y"]

    return read


def _tfrecord(records: list[Record]) -> bytes:
    file = io.BytesIO()
    for tag, x, y in records:
        features = {"id": (1, _field(1, tag.encode())), "y": (1, _field(1, y.encode()))}
        features["x"] = (3, _field(1, b"".join(map(_varint, x))))
        entries = b"".join(
            _field(1, _field(1, name.encode()) + _field(2, _field(kind, values)))
            for name, (kind, values) in features.items()
        )
        file.writelines(tfrecord.framed([_field(1, entries)]))
    return file.getvalue()


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _parquet(records: list[Record]) -> bytes:
    tags, x, y = zip(*records, strict=True)
    table = pa.table({"id": list(tags), "x": pa.array(list(map(list, x))), "y": list(y)})
    file = io.BytesIO()
    pa.parquet.write_table(table, file, row_group_size=7, data_page_size=60, write_page_checksum=True)
    return file.getvalue()


def _compressed(codec: str) -> Callable[[list[Record]], bytes]:
    def write(records: list[Record]) -> bytes:
        if codec == "gzip":
            return gzip.compress(_jsonl(records), mtime=0)
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as file:
            file.write(_jsonl(records))
        return sink.getvalue().to_pybytes()

    return write


def _lines(records: list[Record]) -> bytes:
    return b"".join(y.encode() + b"\n" for _, _, y in records)


def _hdf(records: list[Record]) -> bytes:
    tags, x, y = zip(*records, strict=True)
    file = io.BytesIO()
    with h5py.File(file, "w") as hdf:
        hdf["seqLengths"] = np.array([[len(one), 1] for one in x], "i4")
        hdf["seqTags"] = np.array([tag.encode() for tag in tags])
        options = {"chunks": (16,), "maxshape": (None,), "fletcher32": True}
        hdf.create_dataset("targets/data/x", data=np.concatenate(x).astype("i4"), **options)
        hdf["targets/data/y"] = list(y)
    return file.getvalue()


def _ogg_zip(records: list[Record]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        entries = [repr({"seq_name": t, "id": t, "x": list(x), "y": y}) for t, x, y in records]
        archive.writestr("a.txt", "[" + ",\n".join(entries) + "]\n")
    return file.getvalue()


def _webdataset(records: list[Record]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for tag, x, y in records:
            for ending, content in (("json", json.dumps({"x": x}).encode()), ("txt", y.encode())):
                member = tarfile.TarInfo(f"{tag}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _arrow(records: list[Record]) -> bytes:
    tags, x, y = zip(*records, strict=True)
    table = pa.table({"id": list(tags), "x": pa.array(list(map(list, x))), "y": list(y)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return sink.getvalue().to_pybytes()


FORMATS = (
    Format("jsonl", "a.jsonl", _jsonl, _from_jsonl),
    Format("jsonl", "a.jsonl.gz", _compressed("gzip"), protected=True),
    Format("jsonl", "a.jsonl.zst", _compressed("zstd")),
    Format("csv", "a.csv", _table(",", csv.QUOTE_MINIMAL), _from_table(",", csv.QUOTE_MINIMAL)),
    Format("tsv", "a.tsv", _table("\t", csv.QUOTE_NONE), _from_table("\t", csv.QUOTE_NONE)),
    Format("tfrecord", "a.tfrecord", _tfrecord, protected=True),
    Format("parquet", "a.parquet", _parquet, protected=True),
    Format("hdf", "a.hdf", _hdf, fields=("seq_tag", "x", "y")),
    Format("ogg_zip", "a.zip", _ogg_zip, protected=True),
    Format("webdataset", "a.tar", _webdataset, fields=("seq_tag", "json.x", "txt")),
    Format("arrow", "a.arrow", _arrow),
)
