import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.trainer.share import share_of
from seqmill.transforms.storage.errors import UsageError

BY = st.sampled_from(["rows", "batches"])


@given(
    st.lists(st.integers(1, 9), max_size=20), BY, st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)))
)
def test_every_row_is_read_once_however_often_the_number_of_readers_changes(batch_rows, by, stages):
    num_batches = len(batch_rows)
    read, done = [], 0
    for num_readers, steps in [*stages, (2, num_batches)]:
        for number in range(num_readers):
            share = share_of(num_batches, (number, num_readers), by, done)
            for batch in share.batches[:steps]:
                read += [(batch, row) for row in range(batch_rows[batch])[share.rows]]
        done = share.batches_done(steps, num_batches)
    assert sorted(read) == [(batch, row) for batch in range(num_batches) for row in range(batch_rows[batch])]


@given(st.integers(0, 40), st.integers(1, 4), st.integers(1, 4), BY)
def test_workers_in_turn_give_what_their_reader_gives(num_batches, num_readers, num_workers, by):
    whole = share_of(num_batches, (num_readers - 1, num_readers), by)
    parts = [
        share_of(num_batches, (num_readers - 1, num_readers), by, worker=(number, num_workers))
        for number in range(num_workers)
    ]
    in_turn = [parts[step % num_workers].batches[step // num_workers] for step in range(len(whole.batches))]
    assert in_turn == list(whole.batches)
    assert all(part.rows == whole.rows for part in parts)
    for steps in range(len(parts[-1].batches)):
        assert parts[0].batches_done(steps, num_batches) == whole.batches_done(
            steps * num_workers, num_batches
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reader": (2, 2)}, r"reader=\(2, 2\): expected \(number from 0, how many\)"),
        ({"reader": (-1, 2)}, "reader="),
        ({"reader": (0, 0)}, "reader="),
        ({"reader": (False, True)}, "reader="),
        ({"reader": (0.0, 1.0)}, "reader="),
        ({"reader": 1}, "reader=1"),
        ({"worker": (1, 1)}, "worker="),
        ({"by": "row"}, 'by=\'row\': expected "rows" or "batches"'),
        ({"first_batch": 6}, "first_batch=6: expected 0 to 5"),
        ({"first_batch": -1}, "first_batch=-1"),
        ({"first_batch": None}, "first_batch=None"),
    ],
)
def test_wrong_numbers_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        share_of(5, **arguments)
