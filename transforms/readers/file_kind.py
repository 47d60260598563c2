"""What a file is by its first bytes, so that one of another kind is named and not read as garbage."""

from __future__ import annotations

import codecs
from itertools import islice

from seqmill.transforms.readers.compression import GZIP, ZLIB, ZSTD, codec_of, decompressed, read_head
from seqmill.transforms.readers.framing import is_header
from seqmill.transforms.readers.split import DamagedFileError
from seqmill.transforms.storage.errors import SeqmillError

PARQUET = b"PAR1"
ARROW_FILE, ARROW_STREAM = b"ARROW1\0\0", b"\xff\xff\xff\xff"
HDF = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
TAR = b"ustar"  # behind 257 others

_HEAD_BYTES = 512
_FORMATS = {PARQUET: "parquet", ARROW_FILE: "arrow", ARROW_STREAM: "arrow", HDF: "hdf", ZIP: "ogg_zip"}

_KINDS = {
    PARQUET: "a Parquet file (format = \"parquet\")",
    ARROW_FILE: "an Arrow file",
    ARROW_STREAM: "an Arrow stream",
    b"FEA1": "a Feather file",
    b"ORC": "an ORC file",
    HDF: "an HDF5 file",
    ZIP: "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x80\x04\x95": "a pickle, which is never read",
    b"\x80\x05\x95": "a pickle, which is never read",
    b"\x80\x02": "a pickle, which is never read",
    b"\x80\x03": "a pickle, which is never read",
    b"\x80\x04": "a pickle, which is never read",
    b"\x80\x05": "a pickle, which is never read",
    b"\x93NUMPY": "a NumPy file",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x04\x22\x4d\x18": "lz4 data",
    b"]\0\0": "lzma data",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an older Office document",
    b"MATLAB 5.0 MAT-file": "a MATLAB file",
    b"{\\rtf1": "an RTF document",
    b"version https://git-lfs.github.com/": "a pointer of Git LFS to a file that is not here (git lfs pull)",
    b"SQLite format 3\0": "an SQLite database",
    b"Obj\x01": "an Avro file",
    b"%PDF-": "a PDF",
    b"\x7fELF": "a program",
    b"RIFF": "a RIFF file (WAV or the like)",
    b"fLaC": "a FLAC file",
    b"OggS": "an Ogg file",
    b"ID3": "an MP3 file",
    b"\x89PNG\r\n": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\xff\xfe\0\0": "UTF-32 text",
    b"\0\0\xfe\xff": "UTF-32 text",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}  # fmt: skip
_TEXT_FIRST = (
    b"BZh",
    b"RIFF",
    PARQUET,
    b"OggS",
    b"fLaC",
    b"%PDF-",
    b"Obj\x01",
    b"ORC",
    b"ID3",
    b"FEA1",
)  # a text may begin so


def content_head(path: str) -> bytes:
    """The first bytes of what a file holds, compressed or not; none where it is damaged.

    Raises:
        SeqmillError: It cannot be read.
    """
    try:
        codec = codec_of(path)
        if codec is None:
            return read_head(path, _HEAD_BYTES)
        return next(islice(decompressed(path, codec), 1), b"")[:_HEAD_BYTES]
    except DamagedFileError:
        return b""


def binary_format(head: bytes) -> str | None:
    """The input format of a file that begins with these bytes, of those that are no text.

    >>> binary_format(b"PAR1")
    'parquet'
    """
    if is_header(head):
        return "tfrecord"
    if head[257:262] == TAR:
        return "webdataset"
    return next((name for magic, name in _FORMATS.items() if head.startswith(magic)), None)


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
            twice = next((inner for inner in (GZIP, ZSTD) if head.startswith(inner.magic)), None)
            if twice is not None:
                raise SeqmillError(f"{path}: these are {twice.name} data inside of {codec.name} data")
    except DamagedFileError:
        return  # the reader says what is damaged
    kind = kind_of(head)
    if kind is not None:
        raise SeqmillError(f"{path}: this is {kind}; format {format} expects UTF-8 text")


def check_magic(path: str, magic: bytes | tuple[bytes, ...], format: str, expected: str) -> None:
    """Refuses a file that does not begin as it should.

    Args:
        path: The file.
        magic: What it may begin with.
        format: The format of its corpus.
        expected: What the format expects it to be.

    Raises:
        SeqmillError: The file is of another kind, which is named, or cannot be read.
    """
    head = read_head(path, _HEAD_BYTES)
    if not head.startswith(magic):
        kind = kind_of(head) or "something else"
        raise SeqmillError(f"{path}: this is {kind}; format {format} expects {expected}")


def kind_of(head: bytes, least: int = 1) -> str | None:
    """What a file is that begins with these bytes; None for text and what is not known.

    Args:
        head: The bytes.
        least: Bytes of the shortest magic number that is believed.

    >>> kind_of(b"PK\\x03\\x04....")
    'a zip archive'
    """
    for magic, kind in _KINDS.items():
        if len(magic) >= least and head.startswith(magic) and not (magic in _TEXT_FIRST and _is_text(head)):
            return kind
    if head[257:262] == TAR:
        return "a tar archive"
    if is_header(head):
        return 'a TFRecord file (format = "tfrecord")'
    if head.startswith(ZLIB.magic) and not _is_text(head):
        return "zlib data"
    return "UTF-16 text" if _is_utf16(head) else None


def _is_utf16(head: bytes) -> bool:
    """Whether bytes begin with ASCII characters in UTF-16, as such text without a byte order mark may."""
    even, odd = head[0:8:2], head[1:8:2]
    return len(odd) > 1 and ((all(even) and not any(odd)) or (all(odd) and not any(even)))


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
