"""What a file is, by its first bytes and not by its name."""

import gzip
import io
import lzma
import pickle
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seqmill.transforms.readers import split_corpus
from seqmill.transforms.records.tfrecord import framed
from seqmill.transforms.storage.errors import SeqmillError


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jsonl", '{"a": 1}\n')
    return file.getvalue()


def numpy_file():
    file = io.BytesIO()
    np.save(file, np.arange(5))
    return file.getvalue()


def parquet():
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), file)
    return file.getvalue()


def tfrecord(payload):
    file = io.BytesIO()
    file.writelines(framed([payload]))
    return file.getvalue()


def arrow_stream():
    file, table = io.BytesIO(), pa.table({"a": [1]})
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write(table)
    return file.getvalue()


KINDS = {
    "zip archive": zipped(),
    "pickle": pickle.dumps({"a": 1}),
    "NumPy": numpy_file(),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "xz data": lzma.compress(b'{"a": 1}\n'),
    "Parquet": parquet(),
    "UTF-16": '{"a": 1}\n'.encode("utf-16"),
    "UTF-16 text": '{"a": 1}\n'.encode("utf-16-le"),
    "Arrow stream": arrow_stream(),
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "lzma data": lzma.compress(b'{"a": 1}\n', format=lzma.FORMAT_ALONE),
    "MP3": b"ID3\4" + bytes(100),
    "TFRecord": tfrecord(b"abc"),
    "zlib data": zlib.compress(b'{"a": 1}\n' * 9),
}


@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv", "text", "tfrecord", "parquet"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_file_is_named(tmp_path, format, kind):
    if kind.lower() == format or (format, kind) == ("tfrecord", "zlib data"):
        return
    path = tmp_path / f"corpus.{format}"
    path.write_bytes(KINDS[kind])
    files = {"a": [str(path)]} if format == "text" else [str(path)]
    with pytest.raises(SeqmillError, match=kind) as caught:
        split_corpus(format, files, 100)
    assert str(path) in str(caught.value)


def test_what_is_inside_a_compressed_file_is_named_too(tmp_path):
    for pack in (gzip.compress, zstandard.compress):
        path = tmp_path / "corpus.jsonl"
        path.write_bytes(pack(zipped()))
        with pytest.raises(SeqmillError, match="zip archive"):
            split_corpus("jsonl", [str(path)], 100)
        path.write_bytes(pack(pack(b'{"a": 1}\n')))
        with pytest.raises(SeqmillError, match="inside of"):
            split_corpus("jsonl", [str(path)], 100)


@pytest.mark.parametrize("line", ["BZh is a word", "PAR1 too", "RIFF", "Obj\u00e9t", "ID3", "x^\u00e9"])
def test_text_that_begins_like_another_kind_is_text(tmp_path, read_corpus, line):
    path = tmp_path / "corpus.txt"
    path.write_text(f"{line}\n")
    assert read_corpus("text", {"a": [str(path)]}) == [(0, {"a": line})]
