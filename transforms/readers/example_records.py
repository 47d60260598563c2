"""TFRecord files of tf.train.Example and tf.train.SequenceExample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np

from seqmill.transforms.readers.compression import GZIP, ZLIB, ZSTD, Codec, decompressed, read_head
from seqmill.transforms.readers.file_kind import kind_of
from seqmill.transforms.readers.framing import Gap, frames, is_header
from seqmill.transforms.readers.split import (
    Reader,
    ReadOptions,
    Record,
    Split,
    even_cuts,
    named_errors,
    single_file_split,
    starts_behind,
)
from seqmill.transforms.records.example import BrokenExampleError, decode
from seqmill.transforms.records.tfrecord import BrokenRecordError, records
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

_PROBED_RECORDS = 20_000  # over all files


def split_tfrecord(path: str, target_bytes: int, options: ReadOptions) -> list[Split]:
    """Runs of records of a plain file; a compressed file as a whole.

    Raises:
        SeqmillError: The file is missing, cannot be read, or is of another kind.
    """
    whole = single_file_split("tfrecord", path, options)
    head = read_head(path, 512)
    if _codec(head) is not None:
        return [whole]
    # What looks like a length may be one that is damaged, which its reader reports.
    kind = None if is_header(head) else kind_of(head, least=3 if head[4:8] == bytes(4) else 1)
    if kind is not None:
        raise SeqmillError(f"{path}: this is {kind}; format tfrecord expects TFRecord, plain or compressed")
    with named_errors(path):
        content = files.map_bytes(path)
    targets = even_cuts(len(content), target_bytes)[1:-1]
    starts = [0]
    try:
        for start in starts_behind(targets, (start for start, _ in records(content, check=False))):
            starts.append(start)
    except BrokenRecordError:
        pass  # The last split holds the broken record, and its reader reports it.
    return [
        single_file_split("tfrecord", path, options, start, end)
        for start, end in pairwise([*starts, len(content)])
    ]


def list_features(splits: Sequence[Split]) -> tuple[str, ...]:
    """Names of the bytes features that hold lists: those that have not always one value.

    An Example does not tell one value from a list of one. The first records of every file decide.
    """
    found: set[str] = set()
    firsts = [split for split in splits if split.starts[0] == 0]
    num_probed = min(max(_PROBED_RECORDS // max(1, len(firsts)), 10), 1000)
    for split in firsts:
        for payload in islice(frames(_chunks(split), split.options), num_probed):
            if isinstance(payload, np.ndarray):
                features = _features(payload)
                if isinstance(features, dict):
                    found.update(k for k, v in features.items() if type(v) is list and len(v) != 1)
    return tuple(sorted(found))


class ExampleReader(Reader):
    """Reads one split of a TFRecord file of tf.train.Example or tf.train.SequenceExample.

    A bytes feature is a list of bytes where the corpus was found to hold lists in it (``Split.lists``), else
    bytes; numbers are NumPy arrays [n], int64 or float32. Feature lists are as ``decode`` gives them.

    Args:
        split: What to read.
        fields: Names of the features that will be asked for.
    """

    def __init__(self, split: Split, fields: Sequence[str] = ()):
        super().__init__(split)
        self._fields = frozenset(fields)

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (record number, record or reject)."""
        split, position = self.split, 0
        lists = frozenset(split.lists)
        for payload in frames(_chunks(split), split.options, split.starts[0]):
            if isinstance(payload, Gap):
                self.lose(payload.detail)
                continue
            if isinstance(payload, RejectedSequence):
                yield position, payload
            else:
                self.num_bytes += len(payload)
                yield position, _record(payload, lists, self._fields)
            position += 1
        self.num_positions = self.num_records = position


def _record(payload: np.ndarray, lists: frozenset[str], fields: frozenset[str]) -> Record | RejectedSequence:
    features = _features(payload)
    if isinstance(features, RejectedSequence):
        return features
    record: dict[str, Any] = {}
    for key, feature in features.items():
        if type(feature) is not list or key in lists:
            record[key] = feature
        elif len(feature) == 1:
            record[key] = feature[0]
        elif key in fields and feature:
            detail = f"{key} holds {len(feature)}, and one in each of the first records"
            return RejectedSequence("a list where one value was expected", detail)
        else:
            record[key] = feature
    return record


def _features(payload: np.ndarray) -> dict[str, Any] | RejectedSequence:
    try:
        return decode(payload)
    except BrokenExampleError as error:
        return RejectedSequence("broken record", str(error))


def _chunks(split: Split) -> Iterator[np.ndarray]:
    """The bytes of a split, uint8 [n]."""
    path = split.source
    codec = _codec(read_head(path, 12))
    if codec is None:
        with named_errors(path):
            end = files.size(path) if split.ends[0] is None else split.ends[0]
            yield from files.read_blocks(path, split.starts[0], end)
    else:
        yield from (np.frombuffer(piece, np.uint8) for piece in decompressed(path, codec))


def _codec(head: bytes) -> Codec | None:
    """How a file is compressed that begins with these bytes, which may be those of a length too."""
    if is_header(head):
        return None
    return next((codec for codec in (GZIP, ZSTD, ZLIB) if head.startswith(codec.magic)), None)
