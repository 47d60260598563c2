"""What is where in an HDF5 file of RETURNN, taken only from the file itself and checked before it is read.

``seqLengths`` [N, keys] tells how the rows of ``inputs`` and of ``targets/data/<key>`` are shared out among
N sequences; ``seqTags`` [N] are their tags, ``targets/labels/<key>`` and ``labels`` name what numbers mean.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import IO, Any, NoReturn

import numpy as np

from seqmill.transforms.readers.file_kind import HDF, check_magic
from seqmill.transforms.readers.split import named_errors, one_line
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.storage.extras import require

_INPUTS = "data"
_BLOCK_ROWS = 1 << 18
_LARGEST_CHUNK = 1 << 28
_HEAP = b"GCOL\x01\0\0\0"  # how HDF5's collections of strings begin
_LARGEST_HEAP = 1 << 26
_LARGEST_LABELS = 1 << 24
_MOST_KEYS = 1000
_DEFLATE, _CHECKSUM = 1, 3
_MOST_EXPANSION = 1032  # of deflate
_HARMLESS = 1 << 27  # bytes
_FILTERS = (1, 2, 3, 5, 6, 32000)  # deflate, shuffle, Fletcher's checksum, nbit, scale-offset, LZF
_NUMBERS, _TEXT = "iuf", "SO"


@contextmanager
def open_layout(path: str) -> Iterator[Layout]:
    """Opens a file and finds its arrays.

    Raises:
        SeqmillError: It is missing, no HDF5 file, or not laid out as RETURNN's are.
    """
    h5py = require("h5py", "hdf", "format hdf")
    check_magic(path, HDF, "hdf", "an HDF5 file of RETURNN")
    with named_errors(path), files.open_read(path) as source:
        careful = _Careful(source)
        try:
            with h5py.File(careful, "r") as file:
                yield Layout(path, file, h5py)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            if careful.error is not None:
                raise careful.error from None
            raise SeqmillError(f"{path}: not a readable HDF5 file ({one_line(error)})") from None


def declared_labels(path: str, key: str) -> tuple[str, ...] | None:
    """What the numbers of a data key stand for, by the file; None where it does not say.

    Raises:
        SeqmillError: It cannot be read, or what it says cannot be the labels of a vocabulary.
    """
    with open_layout(path) as layout:
        return layout.labels(key)


class Layout:
    """The arrays of an open file.

    Attributes:
        path: The file.
        keys: Its data keys.
        num_seqs: Sequences in it.
        num_columns: Columns of its lengths.
    """

    def __init__(self, path: str, file: Any, h5py: Any):
        self.path = path
        self._file, self._h5py = file, h5py
        self._lengths = self._array("seqLengths", _NUMBERS, is_whole=True)
        self._tags = self._array("seqTags", _TEXT, is_whole=True)
        self._arrays = self._data_arrays()
        self._whole = {key: _is_whole(array) for key, array in self._arrays.items()}
        self.keys = list(self._arrays)
        self.num_seqs = int(self._tags.shape[0])
        self.num_columns = 1 if self._lengths.ndim == 1 else int(self._lengths.shape[1])
        self._columns = self._numbered()
        if self._lengths.shape[0] != self.num_seqs:
            self._refuse(f"{self._lengths.shape[0]:,} lengths (seqLengths), {self.num_seqs:,} tags (seqTags)")
        self._has_one = self._check_lengths()

    def column(self, key: str) -> int:
        """The column of the lengths that belongs to a data key."""
        return self._columns[key]

    def is_text(self, key: str) -> bool:
        """Whether a data key holds strings."""
        return self._arrays[key].dtype.kind in _TEXT

    def has_one(self, key: str) -> bool:
        """Whether every sequence has one value of a data key."""
        return bool(self._has_one[self._columns[key]])

    def length_blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (first sequence, lengths int64 [n, columns]) for runs of sequences."""
        for first in range(0, self.num_seqs, _BLOCK_ROWS):
            block = self._lengths[first : first + _BLOCK_ROWS]
            yield first, np.asarray(block, np.int64).reshape(len(block), -1)

    def record_bytes(self, lengths: np.ndarray, keys: list[str]) -> np.ndarray:
        """Bytes of the arrays of some data keys, [n], by the lengths of sequences, [n, columns]."""
        sizes = np.zeros(len(lengths), np.int64)
        for key in keys:
            array = self._arrays[key]
            sizes += lengths[:, self._columns[key]] * (prod(array.shape[1:]) * array.dtype.itemsize)
        return sizes

    def tags(self, start: int, end: int) -> list[str | bytes]:
        """The tags of sequences; as bytes where they are no UTF-8."""
        return [_decoded(tag) for tag in self._tags[start:end].tolist()]

    def read(self, key: str, start: int, end: int) -> np.ndarray:
        """Rows of a data key.

        Raises:
            RejectedSequence: They are damaged, or were never written.
        """
        array = self._arrays[key]
        try:
            if not self._whole[key]:
                self._check_written(key, start, end)
            if _DEFLATE in _filters(array):
                self._check_sizes(key, start, end)
            values = np.asarray(array[start:end])
        except (OSError, RuntimeError, ValueError, zlib.error) as error:
            if getattr(error, "errno", None) is not None:
                raise
            raise RejectedSequence("broken record", f"{key}: {one_line(error)}") from None
        if self.is_text(key):
            texts = np.empty(len(values), object)
            texts[:] = [_decoded(value) for value in values.tolist()]
            return texts
        return values

    def labels(self, key: str) -> tuple[str, ...] | None:
        """The labels of a data key; None where there are none, or only what stands in for them."""
        name = "labels" if key == _INPUTS and self._has("inputs") else f"targets/labels/{key}"
        if key not in self._arrays or not self._has(name):
            return None
        array = self._array(name, _TEXT, is_whole=True)
        if array.size * array.dtype.itemsize > _LARGEST_LABELS:
            self._refuse(f"{array.size:,} labels in {name}")
        labels = tuple(_decoded(label) for label in array[:].tolist())
        stand_ins = (("dummy-label",), tuple(f"{key}-class-{index}" for index in range(len(labels))))
        if not labels or labels in stand_ins:
            return None
        texts = tuple(label for label in labels if isinstance(label, str) and label)
        if len(set(texts)) < len(labels):
            self._refuse(f"{name} has labels that are empty, there twice, or not UTF-8")
        return texts

    def _data_arrays(self) -> dict[str, Any]:
        arrays = {}
        if self._has("inputs"):
            arrays[_INPUTS] = self._array("inputs", _NUMBERS + _TEXT)
        if self._has("targets/data"):
            names = self._file["targets/data"].keys()
            if len(names) > _MOST_KEYS:
                self._refuse(f"{len(names):,} data keys")
            for name in sorted(names):
                if name in arrays:
                    self._refuse("inputs, and a target that is called data as well")
                arrays[name] = self._array(f"targets/data/{name}", _NUMBERS + _TEXT)
        if not arrays:
            self._refuse("neither inputs nor targets/data")
        return arrays

    def _numbered(self) -> dict[str, int]:
        """The column of every data key: that of the inputs, then those of the targets by name."""
        inputs = [_INPUTS] if self._has("inputs") else []
        targets = set(self._arrays) - set(inputs)
        if self._has("targets/size"):
            targets |= set(self._file["targets/size"].attrs.keys())
        # Where there are no targets a column stands in for them.
        names = inputs + (sorted(targets) or ["classes"])
        if self._lengths.ndim == 1:
            return dict.fromkeys(self._arrays, 0)
        if self._lengths.ndim != 2 or len(names) != self.num_columns:
            self._refuse(f"seqLengths of shape {list(self._lengths.shape)} for {', '.join(names)}")
        return {name: names.index(name) for name in self._arrays}

    def _check_lengths(self) -> np.ndarray:
        """Checks that the lengths share out all rows; returns for which columns all of them are one."""
        sums = np.zeros(self.num_columns, np.int64)
        has_one = np.ones(self.num_columns, bool)
        for _, lengths in self.length_blocks():
            if lengths.size and (int(lengths.min()) < 0 or int(lengths.max()) >= 2**31):
                self._refuse("seqLengths that are negative or too large")
            sums += lengths.sum(axis=0)
            has_one &= (lengths == 1).all(axis=0)
        for key, column in self._columns.items():
            num_rows = int(self._arrays[key].shape[0])
            if int(sums[column]) != num_rows:
                self._refuse(f"lengths of {key} that add up to {int(sums[column]):,}, but {num_rows:,} rows")
        return has_one

    def _has(self, name: str) -> bool:
        """Whether something stands in the file itself under a name, not behind a link."""
        group = self._file
        for part in name.split("/"):
            link = group.get(part, getlink=True) if isinstance(group, self._h5py.Group) else None
            if link is None:
                return False
            if not isinstance(link, self._h5py.HardLink):
                self._refuse(f"{name} is a link; everything must stand in the file itself")
            group = group[part]
        return True

    def _array(self, name: str, kinds: str, is_whole: bool = False) -> Any:
        if not self._has(name):
            if self._has("seq_names") or self._has("streams"):
                self._refuse("the layout of NextGenHDFDataset; dump it by RETURNN's hdf_dump")
            self._refuse(f"no {name}")
        array = self._file[name]
        if not isinstance(array, self._h5py.Dataset) or array.shape is None or array.ndim < 1:
            self._refuse(f"{name} is no array")
        kind = array.dtype.kind
        is_string = self._h5py.check_string_dtype(array.dtype) is not None
        if kind not in kinds or (kind in _TEXT and not (is_string and array.ndim == 1)):
            self._refuse(f"{name} of type {array.dtype} and shape {list(array.shape)}")
        if array.external or array.is_virtual:
            self._refuse(f"{name} stands in other files")
        if array.chunks is not None:
            filters = _filters(array)
            if not set(filters) <= set(_FILTERS) or (_DEFLATE in filters and _is_hidden(filters)):
                self._refuse(f"{name} is compressed by a plugin (filters {filters})")
            if prod(array.chunks) * array.dtype.itemsize > _LARGEST_CHUNK:
                self._refuse(f"{name} has chunks of shape {list(array.chunks)}")
        if is_whole and not _is_whole(array):
            self._refuse(f"{name} of shape {list(array.shape)}, parts of which were never written")
        return array

    def _check_written(self, key: str, start: int, end: int) -> None:
        array = self._arrays[key]
        if array.chunks is None:
            raise RejectedSequence("broken record", f"{key}: its values were never written")
        for place in _chunks(array, start, end):
            if array.id.get_chunk_info_by_coord(place).byte_offset is None:
                raise RejectedSequence("broken record", f"{key}: row {place[0]:,} was never written")

    def _check_sizes(self, key: str, start: int, end: int) -> None:
        """Refuses chunks that would be unpacked to far more than they are, which HDF5 does not bound."""
        array = self._arrays[key]
        num_bytes = prod(array.chunks) * array.dtype.itemsize
        for place in _chunks(array, start, end):
            stored = array.id.get_chunk_info_by_coord(place)
            if stored.byte_offset is None or stored.size * _MOST_EXPANSION <= max(_HARMLESS, num_bytes):
                continue
            _, content = array.id.read_direct_chunk(place)
            unpacked = zlib.decompressobj().decompress(content, num_bytes + 1)
            if len(unpacked) > num_bytes:
                raise RejectedSequence("broken record", f"{key}: a chunk of over {num_bytes:,} bytes")

    def _refuse(self, found: str) -> NoReturn:
        raise SeqmillError(f"{self.path}: not laid out as RETURNN's HDF files are: {found}")


def _filters(array: Any) -> list[int]:
    """What chunks of an array went through before they were stored."""
    if array.chunks is None:
        return []
    plist = array.id.get_create_plist()
    return [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]


def _is_hidden(filters: list[int]) -> bool:
    """Whether something but a checksum came behind compression, as nobody does it."""
    behind = filters[filters.index(_DEFLATE) + 1 :]
    return set(behind) - {_CHECKSUM} != set()


def _chunks(array: Any, start: int, end: int) -> Iterator[tuple[int, ...]]:
    """Where the chunks begin that hold rows of an array."""
    shape, sizes = array.shape, array.chunks
    others = [range(0, shape[axis], sizes[axis]) for axis in range(1, array.ndim)]
    for row in range(start - start % sizes[0], end, sizes[0]):
        for rest in np.ndindex(*map(len, others)):
            yield (row, *(axis[index] for axis, index in zip(others, rest, strict=True)))


def _is_whole(array: Any) -> bool:
    """Whether all of an array was written; what was not reads as zeros."""
    if array.size == 0:
        return True
    if array.chunks is None:
        return bool(array.id.get_storage_size() > 0)  # all of its room is made at once
    expected = prod(-(-size // chunk) for size, chunk in zip(array.shape, array.chunks, strict=True))
    return bool(array.id.get_num_chunks() == expected)


class _Careful:
    """A file as HDF5 reads it; errors of the file system, which HDF5 would reword, are kept."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except OSError as error:
            self.error = error
            raise
        buffer[: len(data)] = data
        if len(data) < len(buffer):
            raise ValueError("the file ends before")
        found = data.find(_HEAP)
        while found >= 0:
            self._check_heap(self._file.tell() - len(data) + found)
            found = data.find(_HEAP, found + 1)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def _check_heap(self, start: int) -> None:
        """Refuses a heap of strings in which a free object has no size: HDF5 would look at it for ever."""
        place = self._file.tell()
        self._file.seek(start + 8)
        size = int.from_bytes(self._file.read(8), "little")
        self._file.seek(start)
        heap = self._file.read(min(size, _LARGEST_HEAP))
        self._file.seek(place)
        position = 16
        while position + 16 <= len(heap):
            index = int.from_bytes(heap[position : position + 2], "little")
            num_bytes = int.from_bytes(heap[position + 8 : position + 16], "little")
            step = 16 + num_bytes + -num_bytes % 8 if index else num_bytes
            if step == 0:
                raise ValueError(f"the heap of strings at byte {start:,} is damaged")
            position += step


def _decoded(text: Any) -> str | bytes:
    """Text up to its first NUL, as RETURNN reads it; bytes where they are no UTF-8."""
    text = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    text = text.split(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text
