"""Which epochs must be there while a training consumes them."""

from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.planning.ahead import needed


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 5), st.integers(1, 8))
def test_what_is_read_and_would_be_read_again_is_there_and_no_more(num_epochs, ahead, interval, distinct):
    def stored(epoch):
        return (epoch - 1) % distinct + 1

    for epoch in range(1, num_epochs + 1):
        done = (epoch - 1) // interval * interval
        found = needed(epoch, done, num_epochs, ahead, stored)
        assert next(iter(found.to_write)) == stored(epoch)
        assert set(found.to_write) <= set(found.to_keep)
        assert {stored(again) for again in range(done + 1, epoch + 1)} <= set(found.to_keep)
        assert len(found.to_keep) <= min(interval + ahead, distinct)


def test_behind_the_last_epoch_nothing_is_needed():
    found = needed(epoch=6, done=5, num_epochs=5, ahead=2, stored=lambda epoch: epoch)
    assert (list(found.to_write), list(found.to_keep)) == ([], [])
