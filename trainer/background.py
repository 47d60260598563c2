"""Work that is done beside its reader, and by the reader itself once nothing is done beside it any more."""

from __future__ import annotations

import weakref
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
        task = Task(work, arguments)
        with suppress(RuntimeError):  # closed, or Python ends
            task.future = self._threads.submit(_do, weakref.ref(task), work, arguments)
        return task

    def close(self) -> None:
        """Begins nothing more, and waits for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Task(Generic[Result]):
    """Some work that was begun.

    What has come of it lives no longer than this, nor does an error: what is mapped there makes room at once.

    Attributes:
        future: When it is done; without, it is yet to be.
        results: What has come of it.
    """

    def __init__(self, work: Callable[..., Result], arguments: tuple[Any, ...]):
        self.future: Future[None] | None = None
        self.results: list[Result] = []
        self._work, self._arguments = work, arguments

    def result(self) -> Result:
        """What has come of it; raises what it raised."""
        try:
            if self.future is not None:
                with suppress(CancelledError):
                    self.future.result()
                    return self.results[0]
            return self._work(*self._arguments)
        finally:
            del self  # an error's trace would keep it, and it the error

    def wait(self) -> None:
        """Waits until it is not at work beside the reader."""
        if self.future is not None:
            with suppress(CancelledError):
                self.future.exception()


def _do(
    reference: weakref.ref[Task[Result]], work: Callable[..., Result], arguments: tuple[Any, ...]
) -> None:
    """Not by returning it: a thread holds what it returns for a moment longer than it is waited for."""
    result = work(*arguments)
    if (task := reference()) is not None:
        task.results.append(result)
