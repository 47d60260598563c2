from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_options import plain_options

from seqmill.trainer.options import TrainOptions
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.schedule import Schedule, Stretch
from seqmill.transforms.storage.checked_options import checked
from seqmill.transforms.storage.errors import UsageError

OPTIONS = plain_options("data", BatchLimits({}, 8))


@given(st.integers(1, 30), st.integers(1, 30))
def test_epochs_go_round_in_the_distinct_ones(num_epochs, distinct):
    options = TrainOptions(num_epochs=num_epochs, distinct_epochs=distinct)
    read = [options.stored_epoch(epoch, Schedule(OPTIONS, 30)) for epoch in range(1, num_epochs + 1)]
    assert read == [(epoch - 1) % distinct + 1 for epoch in range(1, num_epochs + 1)]


def test_without_distinct_epochs_each_is_its_own():
    assert TrainOptions(num_epochs=3).stored_epoch(3, Schedule(OPTIONS, 3)) == 3


def test_a_corpus_says_itself_that_its_epochs_go_round():
    options, planned = TrainOptions(num_epochs=7), Schedule(OPTIONS, 7, distinct_epochs=3)
    options.check_stored(planned)
    assert options.stored_epoch(5, planned) == 2


@pytest.mark.parametrize(
    ("options", "stored", "message"),
    [
        (TrainOptions(num_epochs=9), 6, "num_epochs = 9, but 6 epochs are stored.*distinct_epochs = 6"),
        (TrainOptions(num_epochs=9, distinct_epochs=8), 6, "distinct_epochs = 8, but 6"),
    ],
)
def test_fewer_stored_epochs_than_asked_for(options, stored, message):
    with pytest.raises(UsageError, match=message):
        options.check_stored(Schedule(OPTIONS, stored))


def test_few_epochs_of_many_distinct_ones_need_no_more_than_are_trained():
    options, planned = TrainOptions(num_epochs=2, distinct_epochs=8), Schedule(OPTIONS, 2)
    options.check_stored(planned)
    assert options.stored_epoch(2, planned) == 2


def test_a_schedule_beyond_what_was_planned_is_not_guessed():
    later = Stretch(3, 4, replace(OPTIONS, partition_epoch=2))
    planned = Schedule(OPTIONS, 4, None, (later,))
    assert [TrainOptions(num_epochs=3).stored_epoch(epoch, planned) for epoch in (1, 2, 3)] == [1, 2, 3]
    with pytest.raises(
        UsageError, match=r"num_epochs = 5, but 4 epochs are stored; run `seqmill preprocess`$"
    ):
        TrainOptions(num_epochs=5).check_stored(planned)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_epochs", 0),
        ("save_interval", -1),
        ("seed", 1.5),
        ("distinct_epochs", True),
        ("start_epoch", "last"),
    ],
)
def test_wrong_values_name_the_option_and_what_is_expected(name, value):
    with pytest.raises(UsageError, match=rf"{name}: found {value!r}; expected a whole number of at least"):
        checked(TrainOptions, {"num_epochs": 1, name: value})
