import gc
import multiprocessing
import os
import signal
import time

import fsspec
import pytest
import xxhash

from seqmill.transforms.storage import cache
from seqmill.transforms.storage.cache import CacheFullError, DifferentError
from seqmill.transforms.storage.checked_files import Checksum, map_checked
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of copies, of at most 1,000 bytes."""
    monkeypatch.setenv("SEQMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEQMILL_CACHE_BYTES", "1000")
    return tmp_path / "cache" / "remote"


class Remote:
    """Fetches what it is asked for from nowhere, and counts."""

    def __init__(self):
        self.fetched = 0
        self.delay = 0.0

    def __call__(self, content, arrives=None):
        def download(descriptor):
            self.fetched += 1
            if self.delay:
                os.pwrite(descriptor, b"half", 0)
                time.sleep(self.delay)
            os.pwrite(descriptor, content if arrives is None else arrives, 0)

        return cache.fetch("far://a", len(content), xxhash.xxh3_128_hexdigest(content), download)


@pytest.fixture
def remote():
    return Remote()


def copies(folder):
    return [path for path in folder.iterdir() if path.is_file() or path.is_symlink()]


def links(folder):
    return [*(folder / "in-use").iterdir()]


def test_files_are_fetched_once_and_those_used_longest_ago_make_room(folder, remote):
    for _ in range(2):
        assert remote(b"a" * 400).tobytes() == b"a" * 400
    assert remote.fetched == 1
    remote(b"b" * 400)
    remote(b"a" * 400)
    remote(b"c" * 400)
    assert sorted(copy.read_bytes()[:1] for copy in copies(folder)) == [b"a", b"c"]
    assert remote.fetched == 3 and not links(folder)
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o700)


def test_what_is_in_use_stays_until_it_is_let_go_of(folder, remote):
    mapped = [remote(b"a" * 400)[100:], remote(b"b" * 400).view("<u4")]
    with pytest.raises(CacheFullError, match="400 bytes: 800 of SEQMILL_CACHE_BYTES = 1,000 are in use"):
        remote(b"c" * 400)
    assert mapped.pop().tobytes() == b"b" * 400
    gc.collect()
    remote(b"c" * 400)
    assert sorted(copy.read_bytes()[:1] for copy in copies(folder)) == [b"a", b"c"]


def hold(remote, ready):
    mapped = [remote(b"a" * 400), remote(b"b" * 400)]
    ready.set()
    time.sleep(30)
    del mapped


def test_others_hold_what_they_use_and_let_go_when_they_are_killed(folder, remote):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(remote, ready))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(CacheFullError, match="in use"):
        remote(b"c" * 400)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    remote(b"c" * 400)
    assert len(copies(folder)) == 2 and not links(folder)


def test_what_does_not_fit_or_arrives_otherwise_is_refused(folder, remote, monkeypatch):
    with pytest.raises(SeqmillError, match="1,001 bytes, more than SEQMILL_CACHE_BYTES = 1,000"):
        remote(b"a" * 1001)
    with pytest.raises(DifferentError):
        remote(b"abc", arrives=b"abd")
    assert not copies(folder) and not links(folder)
    monkeypatch.setenv("SEQMILL_CACHE_BYTES", "10 GB")
    with pytest.raises(UsageError, match="found '10 GB'; expected a number"):
        remote(b"abc")
    assert len(remote(b"")) == 0


def test_copies_that_are_damaged_or_anothers_are_fetched_again(folder, remote, tmp_path):
    remote(b"abc")
    (copy,) = copies(folder)

    def is_mended(fetched):
        assert remote(b"abc").tobytes() == b"abc"
        assert (remote.fetched, copy.is_symlink(), copy.stat().st_uid) == (fetched, False, os.getuid())

    copy.write_bytes(b"ab")
    is_mended(2)
    time.sleep(0.01)  # a tick of the file system's clock
    copy.write_bytes(b"abd")
    is_mended(3)
    copy.unlink()
    (tmp_path / "elsewhere").write_bytes(b"abc")
    copy.symlink_to(tmp_path / "elsewhere")
    is_mended(4)
    if os.getuid() == 0:
        os.chown(copy, 12345, 12345)
        is_mended(5)


def test_a_damaged_copy_of_a_file_of_ours_is_fetched_again(folder):
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/cached/a", b"abc")
    expected = Checksum(3, "06b05ab6733a618578af5f94892f3950")
    assert map_checked("memory://cached/a", expected).tobytes() == b"abc"
    (copy,) = copies(folder)
    copy.write_bytes(b"abd!")
    assert map_checked("memory://cached/a", expected).tobytes() == b"abc"
    copy.unlink()
    fs.pipe_file("/cached/a", b"abd")
    with pytest.raises(SeqmillError, match=r"memory://cached/a: its xxh128 is \w+, not the manifest's 06b05"):
        map_checked("memory://cached/a", expected)
    fs.pipe_file("/cached/a", b"ab")
    with pytest.raises(SeqmillError, match="memory://cached/a: 2 bytes, but the manifest says 3"):
        map_checked("memory://cached/a", expected)


@pytest.mark.parametrize("which", ["", "remote"])
def test_folders_that_others_can_write_to_are_refused(folder, remote, which, tmp_path):
    folder.mkdir(parents=True)
    top = folder if which else folder.parent
    top.chmod(0o777)
    with pytest.raises(
        SeqmillError, match=r"can be written by others \(mode 777\).*SEQMILL_CACHE names another"
    ):
        remote(b"abc")
    top.chmod(0o700)
    if os.getuid() == 0:
        os.chown(top, 12345, 12345)
        with pytest.raises(SeqmillError, match="belongs to the user with number 12345"):
            remote(b"abc")
        os.chown(top, 0, 0)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(SeqmillError, match="is no folder, or a link"):
        remote(b"abc")


def test_processes_fetch_a_file_once_and_survive_the_death_of_one(folder, remote):
    remote.delay = 30
    context = multiprocessing.get_context("spawn")
    first = context.Process(target=remote, args=(b"abc",))
    first.start()
    while not (folder.exists() and any(path.name.startswith(TEMPORARY_PREFIX) for path in copies(folder))):
        time.sleep(0.01)
    remote.delay = 0
    second = context.Process(target=remote, args=(b"abc",))
    second.start()  # waits for the first
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    second.join()
    assert second.exitcode == 0
    remote(b"b")  # removes what the first has left
    assert sorted(copy.read_bytes() for copy in copies(folder)) == [b"abc", b"b"]
