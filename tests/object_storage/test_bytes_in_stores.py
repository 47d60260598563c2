"""What is in an object store is what would be on a local disk, byte for byte."""

import random

import pytest
import xxhash
from fault_proxy import Answer, Cut

from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import Checksum, map_checked


def test_output_in_an_object_store_is_that_of_a_local_disk(store, configured, expected, seqmill):
    config = configured(f"{store.url}/out")
    seqmill.succeeds("preprocess", config)
    assert store.tree(f"{store.url}/out") == expected
    assert "train: up to date" in seqmill.succeeds("preprocess", config).err
    seqmill.succeeds("verify", f"{store.url}/out")


def test_worker_processes_write_the_same(store, corpus, configured, expected, seqmill):
    config = configured(f"{store.url}/out", store.upload(corpus))
    seqmill.succeeds("preprocess", config, "--direct_num_workers=2")
    assert store.tree(f"{store.url}/out") == expected


@pytest.mark.long
def test_large_objects_are_sent_in_parts_and_fetched_in_parts(store, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQMILL_CACHE", str(tmp_path))
    content = random.Random(3).randbytes(70_000_000)
    failures = iter(range(2))
    store.proxy.fault = lambda request: (
        Answer(500) if "partNumber=2" in request.target and next(failures, None) is not None else None
    )
    with files.write_atomically(f"{store.url}/large") as file:
        for start in range(0, len(content), 1_000_000):
            file.write(content[start : start + 1_000_000])
    assert next(failures, None) is None and store.fs.cat_file(f"{store.url}/large") == content
    store.proxy.fault = lambda request: Cut(0.5) if len(store.proxy.seen) % 5 == 0 else None
    expected = Checksum(len(content), xxhash.xxh3_128_hexdigest(content))
    assert map_checked(f"{store.url}/large", expected).tobytes() == content
    assert files.map_bytes(f"{store.url}/large").tobytes() == content


def test_a_report_is_the_same_file_as_on_disk(store, configured, tmp_path, silent_seqmill):
    silent_seqmill.succeeds("report", configured(tmp_path / "out"))
    silent_seqmill.succeeds("report", configured(f"{store.url}/out"))
    assert store.fs.cat(f"{store.url}/out/report.html") == (tmp_path / "out" / "report.html").read_bytes()
