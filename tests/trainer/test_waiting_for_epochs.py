"""How a training waits for epochs that are written beside it."""

from pathlib import Path

import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus

from seqmill.trainer.ahead import Ahead
from seqmill.trainer.corpus import open_corpus
from seqmill.transforms.batches.beside import Consumed, Hearing, Saying, Speaker, Writing
from seqmill.transforms.storage.errors import SeqmillError

ELSEWHERE = Writing("writing epoch 1", speaker=Speaker("elsewhere 1", 7))


class Clock:
    """Goes on by some seconds whenever it is looked at."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 7.0
        return self.now


@pytest.fixture
def corpus(tmp_path):
    folder = Path(write_corpus(tmp_path / "train", regression_epochs([2, 2]), SPECS))
    (folder / "epoch-0002/manifest.json").rename(folder / "of-epoch-0002.json")
    return open_corpus(str(folder))


def bring(corpus):
    folder = Path(corpus.folder)
    (folder / "of-epoch-0002.json").rename(folder / "epoch-0002/manifest.json")


def test_what_is_there_is_not_waited_for(corpus):
    said = []
    assert Ahead(corpus, True, said.append, Clock()).wait_for(1)
    assert Ahead(corpus, False, said.append, Clock()).wait_for(2)
    assert not said


def test_a_training_says_what_it_waits_for_until_it_is_there(corpus):
    said = []

    def say(line):
        said.append(line)
        bring(corpus)

    Saying(corpus.folder, ELSEWHERE).close()
    assert Ahead(corpus, True, say, Clock()).wait_for(2)
    (line,) = said
    assert line.startswith("waiting for epoch 2, ") and line.endswith(
        "writing epoch 1 (process 7 of elsewhere)"
    )


@pytest.mark.parametrize(
    ("writer", "message"),
    [(None, "nobody writes ahead"), (ELSEWHERE, "process 7 of elsewhere, which wrote ahead, is gone")],
)
def test_a_training_does_not_wait_for_ever(corpus, writer, message):
    if writer is not None:
        Saying(corpus.folder, writer).close()
    with pytest.raises(SeqmillError, match=f"epoch 2 is not there, and {message}"):
        Ahead(corpus, True, lambda line: None, Clock()).wait_for(2)


def test_a_training_waits_for_a_writer_that_is_about_to_follow_one_that_is_gone(corpus):
    left = Writing("work", speaker=Speaker(Consumed(1, 0).speaker.machine, 2**31))  # no such process
    Saying(corpus.folder, left).close()
    assert Ahead(corpus, True, lambda line: bring(corpus), Clock()).wait_for(2)


def test_a_training_that_must_end_waits_no_more(corpus):
    Saying(corpus.folder, ELSEWHERE).close()
    ahead = Ahead(corpus, True, lambda line: None, Clock())
    ahead.watch(lambda: 0, lambda: True)
    assert not ahead.wait_for(2)


def test_a_training_says_how_far_it_is(corpus):
    hearing = Hearing(corpus.folder, Consumed)
    ahead = Ahead(corpus, True, print)
    ahead.begin(3)
    assert (hearing.hear().epoch, hearing.hear().done) == (4, 3)
    ahead.watch(lambda: 5, lambda: False)
    ahead.need(7)
    assert (hearing.hear().epoch, hearing.hear().done) == (7, 5)
    ahead.close(is_over=True)
    assert hearing.hear().is_over
