import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.planning.chunk import (
    DISAGREE,
    KeyChunking,
    chunk_lengths,
    chunk_starts,
    num_chunks,
    parse_chunking,
)


def chunks_of(length, rule):
    """(start, end) of every chunk of one sequence, as functions of arrays say."""
    lengths = {"data": np.array([length], np.int32)}
    chunking = {"data": rule}
    count = int(num_chunks(lengths, chunking)[0])
    repeated, chunks = np.repeat(lengths["data"], count), np.arange(count)
    starts = chunk_starts("data", repeated, chunks, chunking)
    return list(
        zip(
            starts.tolist(),
            (starts + chunk_lengths("data", repeated, chunks, chunking)).tolist(),
            strict=True,
        )
    )


def naive_chunks(length, rule):
    chunks, start = [(0, min(rule.size, length))], rule.step
    while start < length and length - start > rule.min_size:
        chunks.append((start, min(start + rule.size, length)))
        start += rule.step
    return chunks


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100", (100, 100)), ("100:75", (100, 75)), ("100,75", (100, 75)), ("75:100", (75, 100)), ("0", (0, 0)),
     ("0:5", (0, 0)), (" 100 : 75 ", (100, 75))],
)  # fmt: skip
def test_parse(text, expected):
    assert parse_chunking(text) == expected


@pytest.mark.parametrize("text", ["", "a", "-5", "100:", ":75", "100:-5", "100:75:50", "1.5", "100;75"])
def test_parse_refuses(text):
    with pytest.raises(ValueError, match="expected size or size:step"):
        parse_chunking(text)


def test_parse_refuses_step_0():
    with pytest.raises(ValueError, match="step of at least 1"):
        parse_chunking("100:0")


@pytest.mark.parametrize(
    ("length", "rule", "expected"),
    [
        (10, KeyChunking(4, 4), [(0, 4), (4, 8), (8, 10)]),
        (8, KeyChunking(4, 4), [(0, 4), (4, 8)]),
        (8, KeyChunking(4, 2), [(0, 4), (2, 6), (4, 8), (6, 8)]),
        (8, KeyChunking(4, 2, min_size=2), [(0, 4), (2, 6), (4, 8)]),
        (8, KeyChunking(2, 5), [(0, 2), (5, 7)]),
        (3, KeyChunking(4, 4, min_size=9), [(0, 3)]),
        (1, KeyChunking(4, 1), [(0, 1)]),
        (0, KeyChunking(4, 1), [(0, 0)]),
    ],
)
def test_chunks(length, rule, expected):
    assert chunks_of(length, rule) == expected


@given(
    length=st.integers(0, 300),
    size=st.integers(1, 100),
    step=st.integers(1, 100),
    min_size=st.integers(0, 100),
)
def test_like_a_loop(length, size, step, min_size):
    rule = KeyChunking(size, step, min_size)
    chunks = chunks_of(length, rule)
    assert chunks == naive_chunks(length, rule)
    if step <= size and not min_size:
        assert set().union(*(range(*chunk) for chunk in chunks)) == set(range(length))


def test_keys_that_are_not_chunked_go_whole_into_every_chunk():
    chunking = {"data": KeyChunking(4, 4)}
    lengths = np.array([7, 7, 7], np.int32)
    assert chunk_starts("text", lengths, np.arange(3), chunking).tolist() == [0, 0, 0]
    assert chunk_lengths("text", lengths, np.arange(3), chunking).tolist() == [7, 7, 7]


def test_a_single_number_is_repeated_and_has_no_say():
    chunking = {"data": KeyChunking(4, 4), "speaker": KeyChunking(4, 4)}
    lengths = {"data": np.array([10, 1, 0]), "speaker": np.array([1, 9, 1])}
    assert num_chunks(lengths, chunking).tolist() == [3, 3, 1]
    assert chunk_starts("speaker", np.ones(3, int), np.arange(3), chunking).tolist() == [0, 0, 0]
    assert chunk_lengths("speaker", np.ones(3, int), np.arange(3), chunking).tolist() == [1, 1, 1]


@given(
    rows=st.lists(st.tuples(*[st.integers(0, 30)] * 3), min_size=1, max_size=20),
    rules=st.tuples(*[st.builds(KeyChunking, st.integers(1, 9), st.integers(1, 9), st.integers(0, 9))] * 3),
)
def test_numbers_of_chunks_must_agree(rows, rules):
    keys = ("a", "b", "c")
    lengths = {key: np.array([row[i] for row in rows], np.int32) for i, key in enumerate(keys)}
    got = num_chunks(lengths, dict(zip(keys, rules, strict=True))).tolist()
    for row, number in zip(rows, got, strict=True):
        counts = {len(naive_chunks(n, rule)) for n, rule in zip(row, rules, strict=True) if n > 1}
        assert number == (counts.pop() if len(counts) == 1 else DISAGREE if counts else 1)


def test_no_chunking_and_no_sequences():
    assert num_chunks({"data": np.array([5, 0])}, {}).tolist() == [1, 1]
    assert num_chunks({"data": np.zeros(0, int)}, {"data": KeyChunking(4, 4)}).tolist() == []
