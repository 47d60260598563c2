"""An opened shard: the one way to read one, for ``verify``, ``show`` and training."""

from __future__ import annotations

import numpy as np

from seqmill.transforms.batches.epoch_manifest import Shard
from seqmill.transforms.batches.record import LARGEST_RECORD
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import map_checked
from seqmill.transforms.storage.errors import SeqmillError


class ShardFile:
    """A shard that is mapped and compared with what the manifest says of it.

    Args:
        folder: The corpus' folder of epochs.
        shard: The shard.
        check: Compare its hash, which reads the whole of it.

    Attributes:
        path: Its path.

    Raises:
        SeqmillError: The file is missing, or not as the manifest says.
    """

    def __init__(self, folder: str, shard: Shard, check: bool = True):
        # A remote file is compared when its copy is made, with one request.
        is_local = files.is_local(folder)
        self.path = check_size(folder, shard) if is_local else files.inside(folder, shard.file)
        check = check or not is_local
        self._content = map_checked(self.path, shard.checksum) if check else files.map_bytes(self.path)
        if len(self._content) != shard.bytes:
            raise _other_size(self.path, len(self._content), shard)
        try:
            self._positions = tfrecord.positions(self._content)
        except tfrecord.BrokenRecordError as error:
            raise SeqmillError(f"{self.path}: {error}") from None
        if np.diff(self._positions).max(initial=0) - tfrecord.FRAME_BYTES > LARGEST_RECORD:
            raise SeqmillError(f"{self.path}: holds a record of 2 GiB or more")
        if len(self) != shard.num_batches:
            raise SeqmillError(
                f"{self.path}: batches: found {len(self)}, the manifest says {shard.num_batches}"
            )

    def __len__(self) -> int:
        return len(self._positions) - 1

    def record(self, number: int, check: bool = True) -> np.ndarray:
        """The payload of record ``number``, a view.

        Args:
            number: From 0.
            check: Compare its CRC.

        Raises:
            SeqmillError: The CRC does not match.
        """
        start, end = self._positions[number : number + 2].tolist()
        try:
            return tfrecord.payload(self._content, start, end, check)
        except tfrecord.BrokenRecordError as error:
            raise SeqmillError(f"{self.path}: {error}") from None


def check_size(folder: str, shard: Shard) -> str:
    """The path of a shard. Raises SeqmillError where it is missing or not as long as the manifest says."""
    path = files.inside(folder, shard.file)
    try:
        found = files.size(path)
    except FileNotFoundError:
        raise SeqmillError(
            f"{path}: the manifest names this file, but it is not there (run `seqmill preprocess`)"
        ) from None
    if found != shard.bytes:
        raise _other_size(path, found, shard)
    return path


def _other_size(path: str, found: int, shard: Shard) -> SeqmillError:
    return SeqmillError(
        f"{path}: {found:,} bytes, but the manifest says {shard.bytes:,} (run `seqmill preprocess`)"
    )
