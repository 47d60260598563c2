"""Values that hold text."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqmill.transforms.features.encoder import kind_of, shown
from seqmill.transforms.storage.errors import RejectedSequence


def to_text(value: Any) -> str:
    """Text or UTF-8 bytes as text. Raises RejectedSequence."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise RejectedSequence("not valid UTF-8", str(error)) from None
    if not isinstance(value, str):
        raise RejectedSequence(f"expected str, found {kind_of(value)}", shown(value))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RejectedSequence("not valid Unicode", str(error)) from None
    return value


def code_points(text: str) -> np.ndarray:
    """The code points of a text, uint32 [len(text)]. Raises RejectedSequence."""
    try:
        return np.frombuffer(text.encode("utf-32-le"), "<u4")
    except UnicodeEncodeError as error:
        raise RejectedSequence("not valid Unicode", error.reason) from None
