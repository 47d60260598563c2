import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.trainer.options import TrainOptions
from seqmill.transforms.storage.checked_options import checked
from seqmill.transforms.storage.errors import UsageError


@given(st.integers(1, 30), st.integers(1, 30))
def test_epochs_go_round_in_the_distinct_ones(num_epochs, distinct):
    options = TrainOptions(num_epochs=num_epochs, distinct_epochs=distinct)
    read = [options.stored_epoch(epoch, num_stored=30) for epoch in range(1, num_epochs + 1)]
    assert read == [(epoch - 1) % distinct + 1 for epoch in range(1, num_epochs + 1)]


def test_without_distinct_epochs_each_is_its_own():
    assert TrainOptions(num_epochs=3).stored_epoch(3, num_stored=3) == 3


@pytest.mark.parametrize(
    ("options", "stored", "message"),
    [
        (TrainOptions(num_epochs=9), 6, "num_epochs = 9, but 6 epochs are stored.*distinct_epochs = 6"),
        (TrainOptions(num_epochs=9, distinct_epochs=8), 6, "distinct_epochs = 8, but 6"),
    ],
)
def test_fewer_stored_epochs_than_asked_for(options, stored, message):
    with pytest.raises(UsageError, match=message):
        options.stored_epoch(1, stored)


def test_few_epochs_of_many_distinct_ones_need_no_more_than_are_trained():
    assert TrainOptions(num_epochs=2, distinct_epochs=8).stored_epoch(2, num_stored=2) == 2


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
