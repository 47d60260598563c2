"""Work beside a reader, whenever it is ended."""

import gc
import threading
import weakref

import pytest

from seqmill.trainer.background import Background


def test_work_is_done_beside_the_reader_and_by_it_once_that_is_over():
    begun, go = threading.Event(), threading.Event()

    def first():
        begun.set()
        go.wait()
        return threading.current_thread().name

    def name_of_thread():
        return threading.current_thread().name

    background = Background(1, "beside")
    running, pending = background.begin(first), background.begin(name_of_thread)
    begun.wait()
    background.close()
    late, fails = background.begin(name_of_thread), background.begin(int, "x")
    us = threading.current_thread().name
    assert (pending.result(), late.result()) == (us, us)
    with pytest.raises(ValueError, match="invalid literal"):
        fails.result()
    go.set()
    for task in (running, pending, late):
        task.wait()
    assert running.result() == "beside_0"


class Mapped:
    """Something that must make room as soon as nobody needs it."""


def test_nothing_is_held_longer_than_it_is_needed():
    mapped, failed = [], []

    def make():
        mapped.append(weakref.ref(made := Mapped()))
        return made

    def fail():
        failed.append(weakref.ref(made := Mapped()))
        raise ValueError(made)

    background = Background(4, "beside")
    gc.disable()  # what is held in a circle would be held for long
    try:
        for _ in range(200):
            task, failing = background.begin(make), background.begin(fail)
            task.wait()
            del task
            assert mapped[-1]() is None
            with pytest.raises(ValueError, match="Mapped"):
                failing.result()
            del failing
        background.close()
        for thread in threading.enumerate():
            if thread.name.startswith("beside"):
                thread.join()
        assert not [one for one in failed if one() is not None]
    finally:
        gc.enable()
