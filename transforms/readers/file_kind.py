"""What a file is by its first bytes, so that one of another kind is named and not read as garbage."""

from __future__ import annotations

from itertools import islice

from seqmill.transforms.readers.compression import codec_of, decompressed, read_head
from seqmill.transforms.readers.split import DamagedFileError
from seqmill.transforms.storage.errors import SeqmillError

_HEAD_BYTES = 512

_KINDS = {
    b"PAR1": "a Parquet file (format = \"parquet\")",
    b"ARROW1\0\0": "an Arrow file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x80\x02": "a pickle, which is never read",
    b"\x80\x03": "a pickle, which is never read",
    b"\x80\x04": "a pickle, which is never read",
    b"\x80\x05": "a pickle, which is never read",
    b"\x93NUMPY": "a NumPy file",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x04\x22\x4d\x18": "lz4 data",
    b"Rar!\x1a\x07": "a RAR archive",
    b"SQLite format 3\0": "an SQLite database",
    b"Obj\x01": "an Avro file",
    b"%PDF-": "a PDF",
    b"\x7fELF": "a program",
    b"RIFF": "a RIFF file (WAV or the like)",
    b"fLaC": "a FLAC file",
    b"OggS": "an Ogg file",
    b"\x89PNG\r\n": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\xff\xfe\0\0": "UTF-32 text",
    b"\0\0\xfe\xff": "UTF-32 text",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}  # fmt: skip
_TEXT_FIRST = (b"BZh", b"RIFF", b"PAR1", b"OggS", b"fLaC", b"%PDF-", b"Obj\x01")  # a text may begin so
_TAR = b"ustar"


def check_text(path: str, format: str) -> None:
    """Refuses what is no text, compressed or not.

    Raises:
        SeqmillError: The file is of another kind, which is named, or cannot be read.
    """
    head = read_head(path, _HEAD_BYTES)
    try:
        codec = codec_of(path)
        if codec is not None:
            head = next(islice(decompressed(path, codec), 1), b"")[:_HEAD_BYTES]
    except DamagedFileError:
        return  # the reader says what is damaged
    kind = kind_of(head)
    if kind is not None:
        raise SeqmillError(f"{path}: this is {kind}; format {format} expects UTF-8 text")


def kind_of(head: bytes) -> str | None:
    """What a file is that begins with these bytes; None for text and what is not known.

    >>> kind_of(b"PK\\x03\\x04....")
    'a zip archive'
    """
    for magic, kind in _KINDS.items():
        if head.startswith(magic) and not (magic in _TEXT_FIRST and _is_text(head)):
            return kind
    if head[257:262] == _TAR:
        return "a tar archive"
    if len(head) >= 4 and (head[0:4:2] == b"\0\0") != (head[1:4:2] == b"\0\0") and head[0:4] != b"\0\0\0\0":
        return "UTF-16 text"
    return None


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and not any(byte >= 0x80 for byte in head)
