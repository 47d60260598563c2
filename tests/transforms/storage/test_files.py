import io
import os
import re
import resource
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import UnusableManifestError, read_sealed_json, seal
from seqmill.transforms.storage.temporaries import temporary_beside

WRITE = """
import os, sys
from seqmill.transforms.storage import files
with files.write_atomically(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def found(folder, pattern):
    return [path.removeprefix(f"{folder}/") for path in files.expand(f"{folder}/{pattern}")]


def test_patterns(tmp_path):
    folder = tmp_path / "a[1]*?"  # never a pattern, as it exists
    make(tmp_path, "a1xy/z.txt", "a1xy/data1.txt")
    make(folder, "b.txt", "a.txt", "data[1].txt", "data1.txt", "deep/er/c.txt", "[ab]/x.txt", "a/x.txt", ".h")
    assert found(folder, "a.txt") == ["a.txt"]
    assert found(folder, "data[1].txt") == ["data[1].txt"]
    assert found(folder, "data[1].*") == ["data1.txt"]
    assert found(folder, "[ab].txt") == ["a.txt", "b.txt"]
    assert found(folder, "?.txt") == ["a.txt", "b.txt"]
    assert found(folder, "[ab]/*.txt") == ["[ab]/x.txt"]
    assert found(folder, "[a]/*.txt") == ["a/x.txt"]
    assert found(folder, "**/c.txt") == ["deep/er/c.txt"]
    assert found(folder, "deep") == found(folder, "nothing*") == found(folder, "nothing") == []


def test_patterns_of_remote_files(write_remote_files):
    top = write_remote_files("a[1]/b.txt", "a[1]/c[2].txt", "a1/b.txt", "a1/c2.txt")
    assert found(top, "a[1]/*.txt") == ["a[1]/b.txt", "a[1]/c[2].txt"]
    assert found(top, "a[1]/c[2].txt") == ["a[1]/c[2].txt"]
    assert found(top, "a?/*.txt") == ["a1/b.txt", "a1/c2.txt"]


@pytest.fixture
def write_remote_files():
    import fsspec

    fs = fsspec.filesystem("memory")
    top = "memory:///patterns"

    def write(*names):
        for name in names:
            fs.pipe_file(f"/patterns/{name}", b"x")
        return top

    yield write
    fs.rm("/patterns", recursive=True)


def test_names_that_are_not_utf8_and_unknown_schemes_are_one_line(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).touch()
    with pytest.raises(SeqmillError, match=r"caf\\xe9.txt: its name is not UTF-8; rename it"):
        files.expand(f"{tmp_path}/*.txt")
    with pytest.raises(SeqmillError, match=r"foo://x/y: cannot open foo:// paths here"):
        files.expand("foo://x/y")


def test_maps_hold_no_file_open(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "empty").touch()
    before = open_files()
    maps = [files.map_bytes(str(tmp_path / "a")) for _ in range(100)]
    assert open_files() == before
    (tmp_path / "a").unlink()
    assert all(mapped.tobytes() == b"abc" and not mapped.flags.writeable for mapped in maps)
    assert files.map_bytes(str(tmp_path / "empty")).shape == (0,)
    assert files.map_bytes(str(tmp_path / "empty")).dtype == np.uint8


def test_writing_goes_through_no_link_and_heeds_the_umask(tmp_path):
    victim, target = tmp_path / "victim", tmp_path / "out" / "a.json"
    victim.write_text("precious")
    target.parent.mkdir()
    target.symlink_to(victim)
    before = os.umask(0o027)
    try:
        files.write_json(str(target), {})
    finally:
        os.umask(before)
    assert victim.read_text() == "precious"
    assert not target.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640


def test_nothing_but_files_is_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, problem in (("pipe", "Invalid argument"), ("folder", "Is a directory")):
        with pytest.raises(OSError, match=problem), files.write_atomically(str(tmp_path / name)):
            pass
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_removing_follows_no_link(tmp_path):
    make(tmp_path, "elsewhere/a", "out/b")
    (tmp_path / "out/link").symlink_to(tmp_path / "elsewhere")
    files.remove(str(tmp_path / "out/link"))
    (tmp_path / "out/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / temporary_beside(Path("x")).name).touch()
    files.remove_temporaries(str(tmp_path / "out"))
    files.remove(str(tmp_path / "out"))
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2
    assert not (tmp_path / "out").exists()


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    command = [sys.executable, "-c", WRITE, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        files.remove_temporaries(str(tmp_path))
        (left,) = tmp_path.iterdir()
        assert left.read_bytes() == b"half"
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        files.remove_temporaries(str(tmp_path))  # it has ended, though nobody has waited for it yet
        assert not list(tmp_path.iterdir())
    machine, _, _ = left.name.removeprefix(".tmp-").partition("-")
    elsewhere = left.with_name(left.name.replace(machine, "0" * 16))
    elsewhere.touch()
    files.remove_temporaries(str(tmp_path))
    assert list(tmp_path.iterdir()) == [elsewhere]
    os.utime(elsewhere, (1, 1))
    files.remove_temporaries(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_too_many_open_files_names_the_file_and_leaves_nothing(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    path = str(tmp_path / "a")
    with (tmp_path / "b").open("w") as file:
        first_free = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files") as raised, files.write_atomically(path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert raised.value.filename == path
    assert not Path(path).exists()


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "link to itself"])
def test_only_regular_files_are_read(tmp_path, what):
    path = tmp_path / "manifest.json"
    if what == "pipe":
        os.mkfifo(path)  # which must not be waited for
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if what == "device" else path.name)
    with pytest.raises(OSError, match=re.escape(str(path))):
        files.read_bytes(str(path))
    with pytest.raises(UnusableManifestError, match=re.escape(str(path))):
        read_sealed_json(str(path), "any", "hint")
    assert not files.is_whole(str(path), 0)


def test_json_of_a_size_that_no_file_of_ours_has(tmp_path):
    path = tmp_path / "manifest.json"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(files.NotJsonError, match="over 500,000,000 bytes"):
        files.read_json(str(path))


def test_a_short_file_takes_little_memory_whatever_it_might_have_been(tmp_path):
    files.write_json(str(tmp_path / "a.json"), {"a": 1})
    tracemalloc.start()
    try:
        assert files.read_json(str(tmp_path / "a.json")) == {"a": 1}
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert files.read_most(io.BytesIO(bytes(3_000_000)), 2_500_000) == bytes(2_500_000)


MAP = """
import resource, sys
from seqmill.transforms.storage import files
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
try:
    with files.write_atomically(sys.argv[1] + ".copy"):
        files.map_bytes(sys.argv[1])
except OSError as error:
    print(error.filename, error.strerror)
"""


def test_a_file_that_cannot_be_mapped_is_named(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(4_000_000_000)
    found = subprocess.run([sys.executable, "-c", MAP, path], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f"{path} it cannot be mapped; a limit of address space")


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b" ", lambda b: b.replace(b"  ", b" ")])
def test_a_sealed_file_whose_bytes_changed_but_not_its_meaning_is_damaged(tmp_path, change):
    path = tmp_path / "file.json"
    files.write_json(str(path), seal({"format": "a/1", "number": 0.1}))
    assert read_sealed_json(str(path), "a/1", "") == {"format": "a/1", "number": 0.1}
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UnusableManifestError, match="not the bytes that were written"):
        read_sealed_json(str(path), "a/1", "")


def test_a_sealed_file_nested_deeper_than_can_be_written_is_damaged(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('{"format": "a/1", "x": ' + "[" * 300 + "]" * 300 + "}")
    with pytest.raises(UnusableManifestError, match="nested deeper than any file of ours"):
        read_sealed_json(str(path), "a/1", "")
    assert files.read_json(str(path))["format"] == "a/1"
