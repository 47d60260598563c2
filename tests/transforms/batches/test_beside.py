"""What writer and training say to each other, and how each notices that the other is gone."""

import subprocess
import sys
from pathlib import Path

import pytest

from seqmill.transforms.batches.beside import SILENT_SECONDS, Consumed, Hearing, Saying, Speaker, Writing


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_what_is_said_is_heard_until_it_is_taken_back(tmp_path, clock):
    hearing = Hearing(str(tmp_path), Consumed, clock)
    assert hearing.hear() is None and hearing.last is None
    saying = Saying(str(tmp_path), Consumed(1, 0))
    heard = hearing.hear()
    assert (heard.epoch, heard.done, heard.is_over) == (1, 0, False)
    saying.say(epoch=4, done=2)
    heard = hearing.hear()
    assert (heard.epoch, heard.done) == (4, 2)
    saying.close(remove=True)
    assert hearing.hear() is None
    saying.say(epoch=5)
    assert hearing.hear() is None


def test_a_process_that_ended_is_gone_at_once(tmp_path, clock):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = Consumed(1, 0).speaker.machine
    Saying(str(tmp_path), Writing("work", speaker=Speaker(here, ended.pid))).close()
    hearing = Hearing(str(tmp_path), Writing, clock)
    assert hearing.hear() is None
    assert hearing.last.doing == "work"


def test_another_machine_is_gone_once_it_says_nothing_more(tmp_path, clock):
    there = Writing("work", speaker=Speaker("elsewhere 1", 1))
    Saying(str(tmp_path), there).close()
    hearing = Hearing(str(tmp_path), Writing, clock)
    assert str(hearing.hear().speaker) == "process 1 of elsewhere"
    clock.now += SILENT_SECONDS
    assert hearing.hear() is not None
    clock.now += 1
    assert hearing.hear() is None
    Saying(str(tmp_path), Writing("more work", speaker=there.speaker)).close()
    assert hearing.hear().doing == "more work"


@pytest.mark.parametrize("damaged", [b"", b"{}", b"\xff", b'{"format": "seqmill.writer/1"}'])
def test_what_is_damaged_was_not_said(tmp_path, clock, damaged):
    Saying(str(tmp_path), Writing("work")).close()
    (path,) = Path(tmp_path).glob("writer.json")
    path.write_bytes(damaged)
    assert Hearing(str(tmp_path), Writing, clock).hear() is None
