from __future__ import annotations

import errno
import io
import os
import socket

import pytest
from sounds import noise, written

from seqmill.transforms.features.sound.decode import Decoder
from seqmill.transforms.features.sound.source import Source, open_path
from seqmill.transforms.storage.errors import RejectedSequence


@pytest.mark.parametrize(
    ("path", "reason", "detail"),
    [
        ("pipe", "not readable audio", "is a pipe"),
        ("folder", "not readable audio", "is a directory"),
        ("socket", "not readable audio", "No such device"),
        ("/dev/zero", "not readable audio", "is a device"),
        ("loop", "missing audio file", "loop"),
        ("none.wav", "missing audio file", "or from audio_root"),
        ("none/a.wav", "missing audio file", "none/a.wav"),
        ("", "missing audio file", "empty"),
        (" ", "missing audio file", "empty"),
        ("a\0b", "missing audio file", "null"),
        ("\ud800", "missing audio file", "surrogates"),
        ("https://example.invalid/a.wav", "missing audio file", "https://"),
        ("local:///dev/zero", "missing audio file", "without a scheme"),
        ("simplecache::file:///dev/zero", "missing audio file", "not chained"),
        ("file:///dev/zero", "not readable audio", "is a device"),
        ("what://example/a.wav", "missing audio file", "what://"),
    ],
)
def test_what_is_not_opened(tmp_path, path, reason, detail):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    with pytest.raises(RejectedSequence) as error, open_path(path, str(tmp_path)):
        pass
    listener.close()
    assert error.value.reason == reason
    assert detail in error.value.detail
    assert str(tmp_path) not in error.value.detail


class FailingFile(io.BytesIO):
    """Fails as a broken disk does, behind its first bytes."""

    def read(self, size=-1):
        if self.tell() + (size if size >= 0 else 1 << 40) > 10_000:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("choose", [None, lambda rate, num_samples: (0, num_samples)])
def test_a_broken_disk_is_no_damage_of_the_sound(choose):
    data = written(noise(), "WAV")
    source = Source(FailingFile(data), len(data))
    with pytest.raises(OSError, match="Input/output") as error:
        Decoder(1_000_000, "a test").decode(source, choose)
        if source.file.error is not None:
            raise source.file.error
    assert error.value.errno == errno.EIO


def test_the_file_is_named_where_the_file_system_fails(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"x")
    with pytest.raises(OSError, match=r"a\.wav"), open_path("a.wav", str(tmp_path)):
        raise OSError(errno.EIO, "Input/output error")
