"""Work beside a reader, whenever it is ended."""

import threading

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
