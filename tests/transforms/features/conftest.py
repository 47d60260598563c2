from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seqmill.transforms.features import Encoder
from seqmill.transforms.storage.errors import RejectedSequence

Rejects = Callable[[Encoder, Any], RejectedSequence]


@pytest.fixture
def rejects() -> Rejects:
    """How an encoder rejects a value: alone, and in the same words inside a block."""

    def encode(encoder: Encoder, value: Any) -> RejectedSequence:
        before = encoder.converted.copy()
        with pytest.raises(RejectedSequence) as alone:
            encoder.encode(value)
        with pytest.raises(RejectedSequence) as in_block:
            encoder.encode_block([value])
        assert in_block.value.reason == alone.value.reason
        assert encoder.converted == before
        return alone.value

    return encode
