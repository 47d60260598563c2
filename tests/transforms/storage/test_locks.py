import pytest

from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import only_writer, reader


def test_a_writer_keeps_all_others_out(tmp_path):
    folder = str(tmp_path / "out")
    with only_writer(folder, "run"):
        for lock in (only_writer, reader):
            with (
                pytest.raises(SeqmillError, match=r"another run \(process \d+\) is at work"),
                lock(folder, "x"),
            ):
                pass
    with only_writer(folder, "run"):
        pass


def test_readers_keep_writers_out_but_not_each_other(tmp_path):
    folder = str(tmp_path)
    refused = pytest.raises(SeqmillError, match="another training")
    with reader(folder, "training"), reader(folder, "training"), refused, only_writer(folder, "run"):
        pass
    with only_writer(folder, "run"):
        pass


def test_what_cannot_be_locked_can_be_read(tmp_path):
    with reader(str(tmp_path / "missing"), "training"), reader("memory://here", "training"):
        pass
