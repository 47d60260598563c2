"""What a Parquet file's footer says of the wanted columns, asked with care.

The library ends the process where Python asks it about a column of a row group whose metadata are damaged or
encrypted; only its own reader turns that into an error. So its reader is asked first, without any data.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from seqmill.transforms.readers.parquet_schema import is_wanted

_LARGE_BYTES = 1 << 62
_SIGNATURE_BYTES = 28  # behind the metadata of a file that is encrypted in part


def footer_bytes(source: IO[bytes]) -> int:
    """Bytes of the metadata at the end of a file."""
    source.seek(-8, 2)
    return int(struct.unpack("<I4x", source.read(8))[0])


def has_encrypted_columns(file: pq.ParquetFile, source: IO[bytes]) -> bool:
    """Whether a file's footer is signed, as it is where columns are encrypted and the footer is not."""
    return footer_bytes(source) == file.metadata.serialized_size + _SIGNATURE_BYTES


def has_possible_rows(file: pq.ParquetFile) -> bool:
    """Whether the rows of all row groups, none of them negative, are those of the file."""
    metadata = file.metadata
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return min(rows, default=0) >= 0 and sum(rows) == metadata.num_rows


def wanted_leaves(file: pq.ParquetFile, columns: Sequence[str]) -> list[int]:
    """Places of the leaves of the file's schema (``a.list.element``) that belong to some columns."""
    paths = (file.schema.column(leaf).path for leaf in range(len(file.schema)))
    return [leaf for leaf, path in enumerate(paths) if is_wanted(path, columns)]


def find_broken_groups(file: pq.ParquetFile, groups: range, leaves: Sequence[int]) -> dict[int, str]:
    """Why row groups cannot be read, by group, as far as the footer tells of some leaves."""
    broken = {}
    no_data = _NoData()
    without_data = pq.ParquetFile(no_data, metadata=file.metadata)
    for group in groups:
        for leaf in leaves:
            no_data.is_wanted = False
            try:
                next(without_data.reader.iter_batches(1, [group], [leaf], use_threads=False), None)
            except (pa.ArrowException, OSError) as error:
                if not no_data.is_wanted:
                    broken[group] = str(error)
                    break
    return broken


def chunks(file: pq.ParquetFile, group: int, leaves: Sequence[int]) -> Iterator[Any]:
    """What the footer says of the leaves in a row group that is not broken."""
    row_group = file.metadata.row_group(group)
    return (row_group.column(leaf) for leaf in leaves)


class _NoData(io.RawIOBase):
    """A large file that cannot be read.

    It raises nothing: Arrow never lets go of an exception of Python's, nor of what the functions that it came
    through have in their hands.

    Attributes:
        is_wanted: Whether data were asked for, after all that the footer says was taken for right.
    """

    def __init__(self) -> None:
        self._position = 0
        self.is_wanted = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset if whence == 0 else _LARGE_BYTES + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        self.is_wanted = True
        return b""
