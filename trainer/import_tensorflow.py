"""TensorFlow, without what it tells every user."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import subprocess
from collections.abc import Iterator

from seqmill.transforms.storage.errors import SeqmillError

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_WARNINGS_TOO = "2"  # are left out, and errors shown
_IS_QUIET = _LEVEL not in os.environ
# The level is heeded only once libraries are loaded. What they say before is of level I, behind a headline.
_HEADLINE = "WARNING: All log messages before absl::InitializeLog"
_SAID_WHILE_LOADING = rf"^({_HEADLINE}|I[0-9]{{4}} )"
# Said on every CPU, those with AVX-512 too; no CPU needs oneDNN for this type.
_SAID_OF_BOOL = rf"^({_HEADLINE}|E[0-9]{{4}} .*\] oneDNN supports DT_BOOL only on platforms with AVX-512\.)"


def import_tensorflow() -> None:
    """Imports TensorFlow, quietly where ``TF_CPP_MIN_LOG_LEVEL`` is not set.

    Raises:
        SeqmillError: It is not installed.
    """
    os.environ.setdefault(_LEVEL, _WARNINGS_TOO)
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        with without_lines(_SAID_WHILE_LOADING) if _IS_QUIET else contextlib.nullcontext():
            import tensorflow  # noqa: F401
    except ImportError:
        raise SeqmillError(
            "training needs TensorFlow: pip install 'seqmill[train]' (or 'seqmill[train-cpu]')"
        ) from None


@functools.cache
def transpose_a_bool() -> None:
    """Does first what TensorFlow has a line of level E for, once in a process, and leaves that line out.

    It would say the same once of integers, or of a type that only needs newer CPUs. To be called once a model
    is there: many settings of TensorFlow's cannot be changed after its first operation.
    """
    if not _IS_QUIET:
        return
    import tensorflow as tf

    with without_lines(_SAID_OF_BOOL), tf.device("CPU"):
        tf.transpose(tf.constant([[True]]))


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
