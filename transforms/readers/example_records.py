"""TFRecord files of tf.train.Example."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from seqmill.transforms.readers.lines import decompressed, is_compressed
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Record,
    Split,
    even_cuts,
    named_errors,
    single_file_split,
)
from seqmill.transforms.records.example import BrokenExampleError, decode
from seqmill.transforms.records.tfrecord import FRAME_BYTES, BrokenRecordError, records
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence


def split_tfrecord(path: str, target_bytes: int) -> list[Split]:
    """Runs of records of a local plain file; a compressed or remote file as a whole.

    Raises:
        SeqmillError: The file is missing or cannot be read.
    """
    with named_errors(path):
        files.open_read(path).close()
        if is_compressed(path) or not files.is_local(path):
            return [single_file_split("tfrecord", path)]
        content = files.map_bytes(path)
    pending = even_cuts(len(content), target_bytes)[-2:0:-1]
    starts = [0]
    try:
        for position, _ in records(content, check=False) if pending else ():
            if pending and position >= pending[-1]:
                starts.append(position)
                while pending and position >= pending[-1]:
                    pending.pop()
    except BrokenRecordError:
        pass  # The last split holds the broken record, and its reader reports it.
    return [
        single_file_split("tfrecord", path, start, end) for start, end in pairwise([*starts, len(content)])
    ]


class ExampleReader:
    """Reads one split of a TFRecord file of tf.train.Example.

    A bytes feature with one value is bytes, one with several a list of them; numbers are NumPy arrays
    [n], int64 or float32.
    """

    def __init__(self, split: Split):
        self._split = split
        self.num_positions = 0

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (record number, record or reject)."""
        position, byte = 0, self._split.starts[0]
        try:
            for buffer in _buffers(self._split):
                for _, payload in records(buffer):
                    yield position, _record(payload)
                    position += 1
                byte += len(buffer)
        except BrokenRecordError as error:
            detail = f"{error}, counted from byte {byte}" if byte else str(error)
            reason = "file cut short" if _is_cut_short(error) else "broken record"
            yield position, RejectedSequence(reason, detail)
            position += 1
        except DamagedFileError as error:
            yield position, RejectedSequence("file cut short", str(error))
            position += 1
        self.num_positions = position


def _record(payload: np.ndarray) -> Record | RejectedSequence:
    try:
        features = decode(payload)
    except BrokenExampleError as error:
        return RejectedSequence("broken record", str(error))
    return {key: _value(feature) for key, feature in features.items()}


def _value(feature: list[bytes] | np.ndarray) -> Any:
    return feature[0] if isinstance(feature, list) and len(feature) == 1 else feature


def _buffers(split: Split) -> Iterator[np.ndarray]:
    """Yields the bytes of a split in runs of whole records, uint8 [n]; any rest comes last."""
    path = split.source
    if not is_compressed(path):
        with named_errors(path):
            yield files.map_bytes(path)[split.starts[0] : split.ends[0]]
        return
    content, pieces, size = np.empty(0, np.uint8), [], 0
    try:
        for chunk in decompressed(path):
            pieces.append(chunk)
            size += len(chunk)
            # Joining only once the bytes have doubled keeps the copying of a long record linear.
            if size >= 2 * len(content):
                content = np.frombuffer(b"".join(pieces), np.uint8)
                whole = _whole_records(content)
                yield content[:whole]
                content = content[whole:]
                pieces, size = [content.tobytes()], len(content)
    except DamagedFileError:
        content = np.frombuffer(b"".join(pieces), np.uint8)
        yield content[: _whole_records(content)]
        raise
    yield np.frombuffer(b"".join(pieces), np.uint8)


def _whole_records(content: np.ndarray) -> int:
    """Bytes up to where a record is cut short; all where it is broken in another way."""
    end = 0
    try:
        for position, payload in records(content, check=False):
            end = position + FRAME_BYTES + len(payload)
    except BrokenRecordError as error:
        return end if _is_cut_short(error) else len(content)
    return end


def _is_cut_short(error: BrokenRecordError) -> bool:
    return str(error).startswith("cut short")
