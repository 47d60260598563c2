"""``bytes``: the bytes of a text in UTF-8, or bytes as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder, kind_of, shown
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.storage.errors import RejectedSequence


class TextBytes(Encoder):
    """``bytes``: uint8 [T]."""

    def __init__(self, key: DataKey):
        super().__init__(key)
        self.num_labels = 256

    def encode(self, value: Any) -> np.ndarray:
        """Bytes [T]. Raises RejectedSequence."""
        return np.frombuffer(_to_bytes(value), np.uint8)

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        parts = [_to_bytes(value) for value in values]
        lengths = np.fromiter(map(len, parts), np.int32, len(parts))
        return Ragged(np.frombuffer(b"".join(parts), np.uint8), lengths)


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise RejectedSequence("not valid Unicode", str(error)) from None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 1:
        return value.tobytes()
    raise RejectedSequence(f"expected str or bytes, found {kind_of(value)}", shown(value))
