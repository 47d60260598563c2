import multiprocessing
import os
import signal
import time
from pathlib import Path

import fsspec
import pytest

from seqmill.transforms.storage import cache, files
from seqmill.transforms.storage.checked_files import Checksum, map_checked
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of copies, of at most 1,000 bytes."""
    monkeypatch.setenv("SEQMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEQMILL_CACHE_BYTES", "1000")
    return tmp_path / "cache" / "remote"


@pytest.fixture
def remote(tmp_path):
    """A file system that is another folder, and counts what is fetched."""

    class Counting(type(fsspec.filesystem("dir", path=str(tmp_path), target_protocol="file"))):
        fetched = 0
        delay = 0.0

        def get_file(self, path, to, **options):
            Counting.fetched += 1
            if Counting.delay:
                Path(to).write_bytes(b"half")
                time.sleep(Counting.delay)
            super().get_file(path, to, **options)

    far = tmp_path / "far"
    far.mkdir()
    return Counting(path=str(far), target_protocol="file", skip_instance_cache=True), far


def read(path):
    return Path(path).read_bytes()


def copies(folder):
    return [path for path in folder.iterdir() if path.name != "locks"]


def test_files_are_fetched_once_a_version_and_the_oldest_make_room(folder, remote):
    fs, far = remote
    for name in "abc":
        (far / name).write_bytes(name.encode() * 400)
    for _ in range(2):
        assert cache.fetch(fs, "a", [400, "v1"], read) == b"a" * 400
    assert fs.fetched == 1
    mapped = cache.fetch(fs, "a", [400, "v1"], files.map_bytes)
    cache.fetch(fs, "b", [400, "v1"], read)
    cache.fetch(fs, "a", [400, "v2"], read)
    assert fs.fetched == 3 and len(copies(folder)) == 2
    cache.fetch(fs, "c", [400, "v1"], read)
    assert sum(copy.stat().st_size for copy in copies(folder)) == 800
    assert mapped.tobytes() == b"a" * 400  # removed meanwhile
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o700)


def test_what_does_not_fit_or_arrives_otherwise_is_refused(folder, remote, monkeypatch):
    fs, far = remote
    (far / "a").write_bytes(b"abc")
    with pytest.raises(SeqmillError, match="1,001 bytes, more than SEQMILL_CACHE_BYTES = 1,000"):
        cache.fetch(fs, "a", [1001, ""], read)
    with pytest.raises(SeqmillError, match="a: 3 bytes arrived, expected 4"):
        cache.fetch(fs, "a", [4, ""], read)
    assert not copies(folder)
    monkeypatch.setenv("SEQMILL_CACHE_BYTES", "10 GB")
    with pytest.raises(UsageError, match="found '10 GB'; expected a number"):
        cache.fetch(fs, "a", [3, ""], read)


def test_damaged_copies_are_fetched_again(folder, remote):
    fs, far = remote
    (far / "a").write_bytes(b"abc")
    cache.fetch(fs, "a", [3, ""], read)
    (copy,) = copies(folder)
    copy.write_bytes(b"ab")
    assert cache.fetch(fs, "a", [3, ""], read) == b"abc"
    copy.unlink()
    copy.symlink_to(far / "a")
    assert cache.fetch(fs, "a", [3, ""], read) == b"abc"
    assert not copy.is_symlink() and fs.fetched == 3


def test_a_damaged_copy_of_a_file_of_ours_is_fetched_again(folder):
    fsspec.filesystem("memory").pipe_file("/cached/a", b"abc")
    expected = Checksum(3, "06b05ab6733a618578af5f94892f3950")
    assert map_checked("memory://cached/a", expected).tobytes() == b"abc"
    (copy,) = copies(folder)
    copy.write_bytes(b"abd")
    assert map_checked("memory://cached/a", expected).tobytes() == b"abc"


@pytest.mark.parametrize("which", ["", "remote"])
def test_folders_that_others_can_write_to_are_refused(folder, remote, which):
    fs, far = remote
    (far / "a").write_bytes(b"abc")
    folder.mkdir(parents=True)
    top = folder if which else folder.parent
    top.chmod(0o777)
    with pytest.raises(
        SeqmillError, match=r"can be written by others \(mode 777\).*SEQMILL_CACHE names another"
    ):
        cache.fetch(fs, "a", [3, ""], read)
    top.chmod(0o700)
    if os.getuid() == 0:
        os.chown(top, 12345, 12345)
        with pytest.raises(SeqmillError, match="belongs to the user with number 12345"):
            cache.fetch(fs, "a", [3, ""], read)
        os.chown(top, 0, 0)
    folder.rmdir()
    folder.symlink_to(far)
    with pytest.raises(SeqmillError, match="is no folder, or a link"):
        cache.fetch(fs, "a", [3, ""], read)


def test_processes_fetch_a_file_once_and_survive_the_death_of_one(folder, remote):
    fs, far = remote
    (far / "a").write_bytes(b"abc")
    type(fs).delay = 30
    context = multiprocessing.get_context("fork")
    first = context.Process(target=cache.fetch, args=(fs, "a", [3, ""], read))
    first.start()
    while not (folder.exists() and any(path.name.startswith(TEMPORARY_PREFIX) for path in copies(folder))):
        time.sleep(0.01)
    type(fs).delay = 0
    second = context.Process(target=cache.fetch, args=(fs, "a", [3, ""], read))
    second.start()  # waits for the first
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    second.join()
    assert second.exitcode == 0
    (far / "b").write_bytes(b"b")
    cache.fetch(fs, "b", [1, ""], read)  # removes what the first has left
    assert sorted(copy.read_bytes() for copy in copies(folder)) == [b"abc", b"b"]
