"""What a packed batch has beside its frames: where sequences begin, whose a frame is, and its place there."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqmill.trainer.share import By
from seqmill.transforms.storage.errors import UsageError

ROW_SPLITS, SEGMENT_IDS, POSITIONS = PACKED_COLUMNS = "row_splits", "segment_ids", "positions"


def packed_columns(key: str, lengths: np.ndarray) -> dict[str, Any]:
    """Columns of a data key of which the sequences lie behind one another.

    Args:
        key: The data key.
        lengths: Frames of each sequence, int32 [B].

    Returns:
        ``<key>_row_splits``, first frame of every sequence and the number of all frames N, int32 [B + 1];
        ``<key>_segment_ids``, the sequence that a frame belongs to, from 0, int32 [N]; ``<key>_positions``,
        the frame's place in it, from 0, int32 [N].

    >>> {name: column.tolist() for name, column in packed_columns("data", np.array([2, 1], np.int32)).items()}
    {'data_row_splits': [0, 2, 3], 'data_segment_ids': [0, 0, 1], 'data_positions': [0, 1, 0]}
    """
    splits = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=splits[1:])
    return {
        f"{key}_{ROW_SPLITS}": splits,
        f"{key}_{SEGMENT_IDS}": np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        f"{key}_{POSITIONS}": np.arange(splits[-1], dtype=np.int32) - np.repeat(splits[:-1], lengths),
    }


def check_share(packed: bool, reader: tuple[int, int], by: By) -> None:
    """Raises UsageError where several readers ask for rows of packed batches, which have none."""
    if packed and by == "rows" and reader != (0, 1):
        raise UsageError(
            f'reader={reader!r}, by="rows": packed batches have no rows to share; expected by="batches"'
        )
