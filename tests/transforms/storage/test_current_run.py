import threading

import pytest

from seqmill.transforms.storage.current_run import begin_run, publishing
from seqmill.transforms.storage.errors import SeqmillError


def test_only_the_current_run_publishes(tmp_path):
    for folder in (str(tmp_path), "memory://current-run"):
        with pytest.raises(SeqmillError), publishing(folder, "first"):
            pass
        begin_run(folder, "first")
        with publishing(folder, "first"), publishing(folder, "first"):
            pass
        begin_run(folder, "second")
        with pytest.raises(SeqmillError, match="another run"), publishing(folder, "first"):
            pass


def test_no_run_begins_while_a_file_of_another_appears(tmp_path):
    folder = str(tmp_path)
    begin_run(folder, "first")
    begun = threading.Event()

    def begin():
        begin_run(folder, "second")
        begun.set()

    with publishing(folder, "first"):
        thread = threading.Thread(target=begin)
        thread.start()
        assert not begun.wait(0.1)
    thread.join()
    assert begun.is_set()
