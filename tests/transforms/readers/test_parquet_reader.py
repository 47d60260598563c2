import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.readers import get_field, open_split, split_corpus
from seqmill.transforms.readers.arrow_values import row_values
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError


def write(path, table, row_group_size):
    pq.write_table(table, path, row_group_size=row_group_size)


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 2000))
def test_splits_equal_the_table(folder, read_corpus, num_rows, row_group_size, target_bytes):
    path = str(folder / "corpus.parquet")
    rows = [{"text": f"row {i}", "n": i} for i in range(num_rows)]
    schema = pa.schema({"text": pa.string(), "n": pa.int64()})
    write(path, pa.Table.from_pylist(rows, schema), row_group_size)
    assert read_corpus("parquet", [path], target_bytes, ["text", "n"]) == list(enumerate(rows))


def test_small_targets_give_a_split_per_row_group(tmp_path):
    path = str(tmp_path / "corpus.parquet")
    write(path, pa.table({"n": range(100)}), 10)
    assert [(s.starts, s.ends) for s in split_corpus("parquet", [path], 1)] == [
        ((i,), (i + 1,)) for i in range(10)
    ]
    assert len(split_corpus("parquet", [path], 1 << 30)) == 1


@pytest.mark.parametrize("remote", [False, True])
def test_nested_audio_and_pruned_columns(tmp_path, read_corpus, write_remote, remote):
    audio = [{"bytes": b"RIFF", "path": "a.wav"}, None, {"bytes": None, "path": "c.wav"}]
    table = pa.table({"audio": audio, "text": ["x", "y", "z"], "a.b": [1, 2, 3]})
    path = str(tmp_path / "corpus.parquet")
    write(path, table, 2)
    if remote:
        path = write_remote("corpus.parquet", (tmp_path / "corpus.parquet").read_bytes())
    found = [record for _, record in read_corpus("parquet", [path], 1, ["audio.bytes", "a.b"])]
    assert found == [
        {"audio": {"bytes": b"RIFF"}, "a.b": 1},
        {"audio": None, "a.b": 2},
        {"audio": {"bytes": None}, "a.b": 3},
    ]
    assert get_field(found[0], "audio.bytes") == b"RIFF"
    assert get_field(found[0], "a.b") == 1
    whole = read_corpus("parquet", [path], 1 << 30, ["audio"])
    assert [record["audio"] for _, record in whole] == audio


def test_a_field_that_no_row_has_still_gives_a_record_per_row(tmp_path, read_corpus):
    path = str(tmp_path / "corpus.parquet")
    write(path, pa.table({"n": range(5)}), 3)
    assert read_corpus("parquet", [path], 1, ["nothing"]) == [(i, {}) for i in range(5)]


def test_rows_of_an_unreadable_row_group_are_counted_and_the_next_is_read(tmp_path, read_corpus):
    path = tmp_path / "corpus.parquet"
    write(path, pa.table({"text": [f"row number {i}" * 20 for i in range(40)]}), 10)
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(2).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    for target_bytes in (1 << 30, 1):
        found = read_corpus("parquet", [str(path)], target_bytes, ["text"])
        assert [position for position, _ in found] == [*range(21), *range(30, 40)]
    (split,) = split_corpus("parquet", [str(path)], 1 << 30)
    (lost,) = [r for _, r in open_split(split, ["text"]) if isinstance(r, RejectedSequence)]
    assert (lost.reason, lost.count) == ("broken record", 10)
    assert "rows 1 to 10 of 10" in lost.detail


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1" * 10])
def test_not_a_parquet_file(tmp_path, content):
    path = tmp_path / "corpus.parquet"
    path.write_bytes(content)
    with pytest.raises(SeqmillError, match="not a readable Parquet file") as caught:
        split_corpus("parquet", [str(path)], 100)
    assert str(path) in str(caught.value)


NUMBERS = st.lists(st.integers(-9, 9), max_size=4)
LISTS = st.lists(st.one_of(st.none(), NUMBERS), max_size=8)
MATRICES = st.lists(
    st.one_of(
        st.none(),
        st.lists(NUMBERS, max_size=3),
        st.integers(0, 3).flatmap(
            lambda width: st.lists(st.lists(st.integers(0, 9), min_size=width, max_size=width))
        ),
    ),
    max_size=8,
)


@given(LISTS, st.sampled_from([("int16", pa.list_), ("float32", pa.large_list)]), st.integers(0, 3))
def test_lists_of_numbers_are_arrays(rows, kind, skipped):
    dtype, list_of = kind
    column = pa.array(rows, list_of(pa.type_for_alias(dtype)))[skipped:]
    values = row_values(column)
    assert [value if value is None else value.tolist() for value in values] == column.to_pylist()
    assert all(value is None or value.dtype == dtype for value in values)


@given(MATRICES, st.integers(0, 3))
def test_lists_of_equally_long_lists_are_matrices(rows, skipped):
    column = pa.array(rows, pa.list_(pa.list_(pa.float32())))[skipped:]
    for value, row in zip(row_values(column), column.to_pylist(), strict=True):
        if row is not None and len({len(frame) for frame in row}) <= 1:
            assert value.shape == (len(row), len(row[0]) if row else 0)
        assert (value.tolist() if isinstance(value, np.ndarray) else value) == row


def test_fixed_sizes_nulls_inside_and_other_types():
    frames = pa.array([[[1, 2], [3, 4]], [], None], pa.list_(pa.list_(pa.float32(), 2)))
    whole, empty, null = row_values(frames)
    assert whole.tolist() == [[1, 2], [3, 4]]
    assert empty.shape == (0, 2)
    assert null is None
    vectors = row_values(pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)))
    assert [value if value is None else value.tolist() for value in vectors] == [[1, 2], None, [3, 4]]
    for rows in ([[1, None]], [[[1], [None]]], [[["a"]]], [["a", "b"]], [True, None], [{"x": [{"y": 1}]}]):
        assert row_values(pa.array(rows)) == rows
    [structure] = row_values(pa.array([{"x": [1, 2], "y": {"z": "s"}}]))
    assert structure["x"].tolist() == [1, 2]
    assert structure["y"] == {"z": "s"}


def test_large_rows_come_in_small_batches(read_corpus, write_remote):
    out = io.BytesIO()
    pq.write_table(pa.table({"blob": [bytes([i]) * 3_000_000 for i in range(12)]}), out, row_group_size=12)
    path = write_remote("blobs.parquet", out.getvalue())
    found = read_corpus("parquet", [path], 1 << 30, ["blob"])
    assert [record["blob"][0] for _, record in found] == list(range(12))
