"""Work that is done beside its reader, and by the reader itself once nothing is done beside it any more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Background:
    """Threads that work ahead of a reader.

    Threads of TensorFlow still read for a moment behind the end of an epoch, or of the program; an error in
    them would be printed with a trace. They are given what they ask for.

    Args:
        threads: How many.
        name: Of each.
    """

    def __init__(self, threads: int, name: str):
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def begin(self, work: Callable[..., Result], *arguments: Any) -> Task[Result]:
        """Begins some work, or puts it off until its result is asked for, where that is over."""
        try:
            future = self._threads.submit(work, *arguments)
        except RuntimeError:  # closed, or Python ends
            future = None
        return Task(future, work, arguments)

    def close(self) -> None:
        """Begins nothing more, and waits for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Task(Generic[Result]):
    """Some work that was begun."""

    def __init__(
        self, future: Future[Result] | None, work: Callable[..., Result], arguments: tuple[Any, ...]
    ):
        self._future, self._work, self._arguments = future, work, arguments

    def result(self) -> Result:
        """What has come of it; raises what it raised."""
        if self._future is not None:
            with suppress(CancelledError):
                return self._future.result()
        return self._work(*self._arguments)

    def wait(self) -> None:
        """Waits until it is not at work beside the reader."""
        if self._future is not None:
            with suppress(CancelledError):
                self._future.exception()
