"""The table ``windows``: how files become windows of a stream (``seqmill preprocess --watch``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from seqmill.trainer.time_limit import is_no_time, seconds_of
from seqmill.transforms.storage.checked_options import Options, none_or, one_of, whole_number

_Seconds = Annotated[float, BeforeValidator(seconds_of)]
_SecondsOrNone = Annotated[float | None, BeforeValidator(none_or(seconds_of, is_no_time))]


class WindowsOptions(Options):
    """How files become windows.

    Attributes:
        interval: Seconds between two looks for files.
        settle: Seconds for which size and times of a local file must have stood still; ``None``: it is taken
            when it is seen first, as what is renamed into place may be. What is not local appears whole.
        min_seqs: Sequences that a window waits for, before those that are dropped are counted out.
        max_wait: Seconds after which it waits no more.
        max_bytes: Of files that one window takes, but one file at least.
        taken: What becomes of files whose window is there: ``"keep"`` or ``"delete"``.
        damaged: What a file does of which no window can be made: ``"skip"``, it is named, and tried again
            later and when it has changed; ``"end"``, the watch ends.
        idle: Seconds without a new file after which the watch ends; ``None``: never.
    """

    interval: _Seconds = 5.0
    settle: _SecondsOrNone = 5.0
    min_seqs: Annotated[int, BeforeValidator(whole_number(1))] = 1
    max_wait: _Seconds = 600.0
    max_bytes: Annotated[int, BeforeValidator(whole_number(1))] = 1_000_000_000
    taken: Annotated[str, BeforeValidator(one_of("keep", "delete"))] = "keep"
    damaged: Annotated[str, BeforeValidator(one_of("skip", "end"))] = "skip"
    idle: _SecondsOrNone = Field(None)
