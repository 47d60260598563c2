"""Arrays in files of their own, which records name: NumPy's ``.npy``, and those of Kaldi's arks."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from math import prod
from tokenize import TokenError
from typing import IO, Any, NoReturn

import numpy as np

from seqmill.transforms.features.encoder import shown
from seqmill.transforms.features.kaldi_matrix import read_kaldi
from seqmill.transforms.features.shared_files import shared_hash
from seqmill.transforms.features.sound.source import check_size, full_path, open_path
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence

NPY_MAGIC = b"\x93NUMPY"
_ARK = re.compile(r"(.+):(\d{1,18})(\[[\d:,]+\])?", re.DOTALL)
_MOST_HEADER = 10_000

# What NumPy raises of headers, which it reads as Python.
_NOT_NPY = (ValueError, EOFError, RecursionError, MemoryError, TypeError, SyntaxError, TokenError)
_READ_HEADER: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def names_array(value: Any) -> bool:
    """Whether a value is the path of an array, not numbers: ``a.npy``, ``feats.ark:1234``."""
    return isinstance(value, str) and (value.endswith(".npy") or _ARK.fullmatch(value) is not None)


def read_named(value: str, folder: str, max_bytes: int, named_files: dict[str, str | None]) -> np.ndarray:
    """The array that a path leads to.

    Args:
        value: ``a.npy``, or as in Kaldi's scp files ``feats.ark:1234``, perhaps with a range ``[0:9]``.
        folder: Folder or URL that a relative path starts from.
        max_bytes: Most bytes of an array.
        named_files: Where the hash of the file is noted, by its name; None where it cannot be opened.

    Raises:
        RejectedSequence: There is no such array, it is damaged or too large.
        OSError: The file system failed.
    """
    if value.startswith("|") or value.endswith("|"):
        raise RejectedSequence("a command instead of a file", f"{shown(value)}; nothing is executed")
    match = None if value.endswith(".npy") else _ARK.fullmatch(value)
    name = value if match is None else match[1]
    named_files.setdefault(name, None)
    with open_path(name, folder, "array") as source:
        if named_files[name] is None:
            is_own = match is None and files.is_local(full_path(name, folder))
            named_files[name] = source.xxh128() if is_own else shared_hash(name, folder)
        if match is None:
            return read_npy(source.file, source.size, max_bytes, name)
        source.file.seek(int(match[2]))
        array = read_kaldi(source.file, source.size - int(match[2]), max_bytes, value)
    return array if match[3] is None else _part(array, match[3], value)


def read_npy(file: IO[bytes], size: int, max_bytes: int, name: str = "") -> np.ndarray:
    """The array of a ``.npy`` file of ``size`` bytes that stands at its beginning.

    Objects, which are pickles, are refused before anything of them is read. Raises RejectedSequence.
    """
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        if version not in _READ_HEADER:
            raise ValueError(f"version {version} of the format")
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of headers of Python 2
            shape, is_fortran, dtype = _READ_HEADER[version](file, max_header_size=_MOST_HEADER)
    except _NOT_NPY as error:
        _broken(f"{name}: not a .npy file ({' '.join(str(error).split())})"[:300])
    if dtype.hasobject or dtype.kind not in "iufb":
        raise RejectedSequence("no numbers", f"{name} holds elements of type {dtype}; pickles are never read")
    num_bytes = prod(shape) * dtype.itemsize
    check_size(num_bytes, max_bytes, "the array")
    if num_bytes != size - file.tell():
        _broken(f"{name}: {num_bytes:,} bytes of {list(shape)} {dtype}, it has {size - file.tell():,}")
    values = np.frombuffer(file.read(num_bytes), dtype, count=prod(shape))
    return values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)


def read_npy_bytes(content: bytes, max_bytes: int) -> np.ndarray:
    """The array of a ``.npy`` file in memory. Raises RejectedSequence."""
    return read_npy(io.BytesIO(content), len(content), max_bytes, "the value")


def _part(array: np.ndarray, text: str, value: str) -> np.ndarray:
    """The part that a range ``[first:last]`` of rows, and perhaps of columns, means, ends included."""
    ranges = text[1:-1].split(",")
    if len(ranges) > array.ndim:
        _broken(f"{shown(value)}: {len(ranges)} ranges of an array of {array.ndim} dimensions")
    slices = []
    for part, length in zip(ranges, array.shape, strict=False):
        match = re.fullmatch(r"(\d{0,18}):(\d{0,18})", part)
        if match is None:
            _broken(f"{shown(value)}: not a range")
        first, last = int(match[1] or 0), int(match[2] or length - 1)
        if not 0 <= first <= last < length:
            _broken(f"{shown(value)}: a range beyond {length} rows or columns")
        slices.append(slice(first, last + 1))
    return array[tuple(slices)]


def _broken(detail: str) -> NoReturn:
    raise RejectedSequence("broken array", detail)
