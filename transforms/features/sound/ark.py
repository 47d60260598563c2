"""Sound inside of Kaldi's archives: ``wavs.ark:1234``, as ``wav-copy`` and ``extract-segments`` write it."""

from __future__ import annotations

import re

from seqmill.transforms.features.encoder import shown
from seqmill.transforms.features.sound.source import Source, check_size
from seqmill.transforms.storage.errors import RejectedSequence

_PLACE = re.compile(r"(.+\.ark):(\d{1,18})", re.DOTALL)
_HEAD = 12  # "RIFF", the bytes that follow, "WAVE"


def ark_place(path: str) -> tuple[str, int] | None:
    """The archive and the first byte that a path means; ``None`` where it is the path of a whole file.

    >>> ark_place("data/wavs.ark:17"), ark_place("a.wav")
    (('data/wavs.ark', 17), None)
    """
    match = _PLACE.fullmatch(path)
    return None if match is None else (match[1], int(match[2]))


def read_wav(source: Source, start: int, max_bytes: int) -> bytes:
    """The WAV file that stands in an archive from byte ``start`` on.

    Raises:
        RejectedSequence: There is none, it is cut short or too large.
    """
    source.file.seek(start)
    head = source.file.read(_HEAD)
    if len(head) < _HEAD or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        detail = f"expected a WAV file at byte {start:,} of {source.size:,}, found {shown(head[:4])}"
        raise RejectedSequence("no sound at this place of the archive", detail)
    size = 8 + int.from_bytes(head[4:8], "little")
    if start + size > source.size:
        detail = (
            f"its header says {size:,} bytes, the archive has {source.size - start:,} from byte {start:,} on"
        )
        raise RejectedSequence("audio cut short", detail)
    check_size(size, max_bytes, "the file")
    source.file.seek(start)
    data: bytes = source.file.read(size)
    return data
