"""Files that arrive in a bucket become windows of a stream there; nothing is left or mixed."""

import os

import pytest
from seqmill_runs import write_config, write_jsonl

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.read_batches import read_epoch
from seqmill.transforms.batches.stream import (
    clear_stream,
    consume,
    identity_of,
    is_there,
    publish,
    remove_abandoned,
    window_name,
    windows,
    windows_but,
)
from seqmill.transforms.storage import temporaries


def records(first, number):
    return [{"tag": f"t{n}", "data": "a" * (1 + n % 5)} for n in range(first, first + number)]


@pytest.fixture
def config(store, tmp_path):
    return write_config(
        tmp_path,
        {"data": {"type": "bytes"}},
        {"train": {"format": "jsonl", "files": [f"{store.url}/in/*.jsonl"], "seq_tag": "tag"}},
        output=f"{store.url}/out",
        windows={"interval": 0.05, "idle": 0.1, "taken": "delete"},
    )


def tags(folder):
    for name in windows(folder):
        content = manifest.read(f"{folder}/{name}")
        for batch in read_epoch(f"{folder}/{name}", content, content.epochs[0]):
            yield from (tag.decode() for tag in batch.seq_tags)


def test_a_bucket_is_watched(store, config, tmp_path, seqmill):
    stream = f"{store.url}/out/epochs/train"
    for name, first in (("a", 0), ("b", 3)):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_jsonl(tmp_path / f"in/{name}.jsonl", records(first, 3))
        store.upload(tmp_path / "in")
        seqmill.succeeds("preprocess", config, "--watch")
        (tmp_path / f"in/{name}.jsonl").unlink()
    assert len(windows(stream)) == 2 and sorted(tags(stream)) == [f"t{n}" for n in range(6)]
    assert not store.fs.find(f"{store.url}/in") and not store.fs.find(f"{store.url}/out/watch/window")

    # A look at windows that are known is one request, whatever their number.
    store.proxy.reset()
    assert [*windows_but(windows(stream)[:1], stream)] == windows(stream)[1:]
    store.proxy.reset()
    assert next(windows_but({*windows(stream)}, stream), None) is None
    assert store.proxy.counts()["LIST"] == 2 and store.proxy.counts()["HEAD"] == 2
    first, last = windows(stream)
    consume(stream, first)
    assert windows(stream) == [last] and not is_there(stream, first) and is_there(stream, last)
    seqmill.succeeds("verify", f"{store.url}/out")


def test_what_ended_processes_were_making_is_removed_and_nothing_else(store):
    here, ended, long_ago = temporaries.this_machine(), 2**22 + 1, "elsewhere"
    made = {f".tmp-{here}-{ended}-ab-w", f".tmp-{here}-{os.getpid()}-cd-w", f".tmp-{long_ago}-7-ef-w"}
    for name in made:
        store.fs.pipe_file(f"{store.url}/train/{name}/window/manifest.json", b"{}")
    clear_stream(f"{store.url}/train")
    left = {path.split("/")[-3] for path in store.fs.find(f"{store.url}/train")}
    assert left == {name for name in made if f"-{ended}-" not in name}


def test_two_windows_that_want_one_name_are_not_mixed(store):
    name, folder = window_name(1_795_680_000_000), f"{store.url}/train"
    for identity in ("one", "other", "one"):
        for file in ("manifest.json", "epoch-0001/a"):
            store.fs.pipe_file(f"{store.url}/made/{file}", identity.encode())
        if identity == "one":  # and of its first attempt nothing but the claim arrived
            store.fs.rm(f"{store.url}/made/manifest.json")
        appeared = publish(f"{store.url}/made", folder, name, identity)
        assert appeared == (identity == "one")
        assert not store.fs.find(f"{store.url}/made")
    assert identity_of(folder, name) == "one"
    assert store.fs.cat_file(f"{folder}/{name}/epoch-0001/a") == b"one"


def test_a_window_that_was_copied_in_part_goes_and_a_slow_one_takes_the_next_name(store):
    folder = f"{store.url}/train"
    left, whole, slow = (window_name(1_795_680_000_000, pane) for pane in range(3))
    for name in (left, whole, slow):
        for file in ("identity.txt", "epoch-0001/a", *["manifest.json"] * (name == whole)):
            store.fs.pipe_file(f"{folder}/{name}/{file}", name.encode())
    remove_abandoned(folder)
    assert identity_of(folder, left) == left  # somebody may be at it

    def appear(request):  # before the name is given up, but after it was found without a manifest
        if request.kind == "PUT" and f"{slow}.consumed" in request.path:
            store.fs.pipe_file(f"{folder}/{slow}/manifest.json", b"{}")

    store.proxy.fault = appear
    remove_abandoned(folder, seconds=-60)
    assert windows(folder) == [whole, slow] and identity_of(folder, left) == ""
    assert store.fs.find(f"{folder}/{left}") == []
    store.fs.pipe_file(f"{folder}/{left}/identity.txt", left.encode())  # what is being removed says nothing
    assert identity_of(folder, left) == ""

    def give_up(request):
        if request.kind == "PUT" and "x/manifest.json" in request.path:
            store.fs.pipe_file(f"{folder}/x.consumed", b"")

    store.proxy.fault = give_up
    store.fs.pipe({f"{store.url}/made/{file}": b"1" for file in ("manifest.json", "epoch-0001/a")})
    assert not publish(f"{store.url}/made", folder, "x", "x")
    assert identity_of(folder, "x") == "" and not store.fs.find(f"{folder}/x")
