"""TensorFlow, without what it tells every user at its start."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Iterator

from seqmill.transforms.storage.errors import SeqmillError

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_WARNINGS_TOO = "2"  # are left out, and errors shown
# The level is heeded only once libraries are loaded. What they say before is of level I, behind a headline.
_SAID_WHILE_LOADING = r"^(WARNING: All log messages before absl::InitializeLog|I[0-9]{4} )"


def import_tensorflow() -> None:
    """Imports TensorFlow, quietly where ``TF_CPP_MIN_LOG_LEVEL`` is not set.

    Raises:
        SeqmillError: It is not installed.
    """
    is_quiet = _LEVEL not in os.environ
    os.environ.setdefault(_LEVEL, _WARNINGS_TOO)
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        with without_lines(_SAID_WHILE_LOADING) if is_quiet else contextlib.nullcontext():
            import tensorflow  # noqa: F401
    except ImportError:
        raise SeqmillError(
            "training needs TensorFlow: pip install 'seqmill[train]' (or 'seqmill[train-cpu]')"
        ) from None


@contextlib.contextmanager
def without_lines(pattern: str) -> Iterator[None]:
    """Leaves out lines of standard error, also of libraries in C, until the block ends.

    A process of its own does that: what is written last is shown even if this one crashes.

    Args:
        pattern: Of ``grep -E``, for the lines that are left out.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        sieve = subprocess.Popen(
            ["grep", "--line-buffered", "-a", "-v", "-E", pattern],
            stdin=subprocess.PIPE,
            stdout=terminal,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
    except OSError:  # there is no grep
        os.close(terminal)
        yield
        return
    assert sieve.stdin is not None
    os.dup2(sieve.stdin.fileno(), 2)
    sieve.stdin.close()
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        with contextlib.suppress(subprocess.TimeoutExpired):  # another process may have it as its own
            sieve.wait(1)
