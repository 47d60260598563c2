"""Inputs in an object store, or behind http, are split and read as local files are, by ranges of bytes."""

import contextlib
import functools
import http.server
import random
import threading
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqmill.transforms.readers import open_split, split_corpus
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage import files

TARGET = 20_000


def write(folder, format):
    """Files of a format with some 70 kB each; their names, by field for ``text``."""
    chance = random.Random(2)
    rows = [
        {"word": "".join(chance.choices("abc é", k=chance.randint(1, 60))), "number": n} for n in range(1500)
    ]
    if format == "jsonl":
        (folder / "a").write_text(
            "".join(f'{{"word": "{r["word"]}", "number": {r["number"]}}}\n' for r in rows)
        )
    elif format == "text":
        (folder / "a").write_text("".join(f"{r['word']}\n" for r in rows))
        (folder / "b").write_text("".join(f"{r['number']}\n" for r in rows))
        return {"word": ["a"], "number": ["b"]}
    elif format in ("csv", "tsv"):
        mark = "," if format == "csv" else "\t"
        quoted = '"{}\n"{}{}\n' if format == "csv" else "{}{}{}\n"
        lines = [quoted.format(r["word"], mark, r["number"]) for r in rows]
        (folder / "a").write_text(f"word{mark}number\n" + "".join(lines))
    elif format == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "a", row_group_size=200, compression="none")
    else:
        with (folder / "a").open("wb") as file:
            for row in rows:
                word = field(1, b"word") + field(2, field(1, field(1, row["word"].encode())))
                number = field(1, b"number") + field(2, field(3, field(1, varint(row["number"]))))
                file.writelines(tfrecord.framed([field(1, field(1, word) + field(1, number))]))
    return ["a"]


def field(number, content):
    """A field of a protobuf message."""
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value):
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)


def located(names, folder):
    if isinstance(names, dict):
        return {key: located(inner, folder) for key, inner in names.items()}
    return [f"{folder}/{name}" for name in names]


def records(splits):
    found = []
    for split in splits:
        reader = open_split(split, ["word", "number"])
        found.append([(position, repr(record)) for position, record in reader])
    return found


@pytest.mark.parametrize("format", ["jsonl", "text", "csv", "tsv", "parquet", "tfrecord"])
def test_splits_and_records_are_those_of_local_files(store, tmp_path, format):
    names = write(tmp_path, format)
    local = split_corpus(format, located(names, tmp_path), TARGET)
    remote = split_corpus(format, located(names, store.upload(tmp_path)), TARGET)
    assert len(local) > 2 and [(s.starts, s.ends) for s in remote] == [(s.starts, s.ends) for s in local]
    assert records(remote) == records(local)


def test_a_split_is_not_read_by_fetching_the_file(store, tmp_path):
    (tmp_path / "a").write_bytes(b'{"x": 1}\n' * 400_000)
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    folder = store.upload(tmp_path)
    splits = split_corpus("jsonl", [f"{folder}/a"], 400_000)
    store.proxy.reset()
    with files.remembering():
        assert sum(1 for _ in open_split(splits[4], ["x"])) in (44_444, 44_445)
    assert len(splits[4:5]) == 1 and store.proxy.num_bytes < 600_000
    assert store.proxy.counts() == {"HEAD": 1, "GET": 2}


def test_two_versions_of_an_object_are_not_mixed(store):
    url = f"{store.url}/a"
    store.fs.pipe_file(url, b"1" * 300_000)
    with files.open_read(url) as file:
        assert set(file.read(1000)) == {ord("1")}
        store.fs.pipe_file(url, b"2" * 300_000)
        with pytest.raises(OSError, match="it changed while it was read"):
            file.read()


@contextlib.contextmanager
def http_server(folder):
    """Serves a folder, whole files only, whatever range is asked for."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_files_behind_http_are_read_from_servers_without_ranges(tmp_path, format):
    names = write(tmp_path, format)
    local = split_corpus(format, located(names, tmp_path), TARGET)
    with http_server(tmp_path) as url:
        remote = split_corpus(format, located(names, url), TARGET)
        assert [replace(split, files=()) for split in remote] == [replace(split, files=()) for split in local]
        assert records(remote) == records(local)
