import os
import signal
import subprocess
import sys

import pytest

from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import LOCK_FILE, only_writer, reader


def refused(hold, message):
    with pytest.raises(SeqmillError, match=message), hold:
        pass


HOLD = """
import sys
from seqmill.transforms.storage.locks import only_writer
with only_writer(sys.argv[1], "run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_writer_keeps_all_others_out(tmp_path):
    folder = str(tmp_path / "out")
    with only_writer(folder, "run"):
        for hold in (only_writer, reader):
            refused(hold(folder, "x"), rf"another run \(process {os.getpid()}\) is at work")
    with only_writer(folder, "run"):
        pass


def test_readers_keep_writers_out_but_not_each_other(tmp_path):
    folder = str(tmp_path)
    with reader(folder, "training"), reader(folder, "training"):
        refused(only_writer(folder, "run"), "another training")
    with only_writer(folder, "run"):
        pass


def test_the_process_named_is_one_that_holds_the_lock(tmp_path):
    folder = str(tmp_path)
    command = [sys.executable, "-c", HOLD.replace("only_writer", "reader"), folder]
    with reader(folder, "training"):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"held\n"
            process.kill()
        with reader(folder, "check"):
            pass
        refused(only_writer(folder, "run"), rf"another training \(process {os.getpid()}\)")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        refused(only_writer(folder, "run"), rf"another run \(process {process.pid}\)")


@pytest.mark.parametrize(
    "holders", [b"", b"run (process 99999999999)\n", b"\xff\0" * 9000, b"x (process 0)\n"]
)
def test_whatever_stands_in_a_lock_is_no_holder(tmp_path, holders):
    (tmp_path / LOCK_FILE).write_bytes(holders)
    with reader(str(tmp_path), "training"):
        refused(only_writer(str(tmp_path), "run"), rf"another training \(process {os.getpid()}\)")


def test_what_cannot_be_locked_can_be_read(tmp_path):
    with reader(str(tmp_path / "missing"), "training"), reader("memory://here", "training"):
        pass
    (tmp_path / "file").touch()
    refused(only_writer(str(tmp_path / "file"), "run"), "file: cannot be written to")


def test_a_killed_process_holds_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        refused(only_writer(str(tmp_path), "run"), f"process {process.pid}")
        process.send_signal(signal.SIGKILL)
    with only_writer(str(tmp_path), "run"):
        pass


@pytest.mark.parametrize("hold", [only_writer, reader])
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_only_a_plain_file_is_a_lock(tmp_path, kind, hold):
    lock, victim = tmp_path / "out" / LOCK_FILE, tmp_path / "victim"
    lock.parent.mkdir()
    if kind == "link":
        victim.write_text("precious")
    if "link" in kind:
        lock.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    refused(hold(str(lock.parent), "run"), "must be a plain file")
    assert victim.read_text() == "precious" if kind == "link" else not victim.exists()


@pytest.mark.parametrize("link", ["store", "epochs", "vocab", "model", "store/train", "epochs/train/parts"])
def test_nothing_is_written_through_links_inside_an_output_folder(tmp_path, link):
    planted = tmp_path / "out" / link
    planted.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    planted.symlink_to(tmp_path / "elsewhere")
    refused(only_writer(str(tmp_path / "out"), "run"), f"{planted}: a link to")
    (tmp_path / "outer").symlink_to(tmp_path / "elsewhere")
    with only_writer(str(tmp_path / "outer"), "run"):  # what the user names may be a link
        pass
    assert (tmp_path / "elsewhere" / LOCK_FILE).exists()
