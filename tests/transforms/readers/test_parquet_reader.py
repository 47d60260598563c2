import base64
import gc
import io
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.readers import get_field, open_split, split_corpus
from seqmill.transforms.readers.arrow_values import row_values
from seqmill.transforms.readers.parquet_footer import find_broken_groups
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


def test_a_damaged_page_costs_the_rows_from_it_on(tmp_path):
    path = tmp_path / "corpus.parquet"
    pq.write_table(
        pa.table({"n": range(3000)}), path, data_page_size=500, use_dictionary=False, compression="none",
        write_page_checksum=True, row_group_size=2000,
    )  # fmt: skip
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size * 3 // 4] ^= 1
    path.write_bytes(content)
    (split,) = split_corpus("parquet", [str(path)], 1 << 30)
    reader = open_split(split, ["n"])
    found = list(reader)
    (lost,) = [record for _, record in found if isinstance(record, RejectedSequence)]
    assert "checksum" in lost.detail
    assert [record["n"] for _, record in found if isinstance(record, dict)] == [
        *range(2000 - lost.count), *range(2000, 3000)
    ]  # fmt: skip
    assert 500 < lost.count < 1500
    assert (reader.num_records, reader.damaged) == (3000, None)


def test_bad_utf8_and_unreadable_values_cost_their_row(tmp_path, read_corpus, reject):
    raw = pa.array([b"ok", b"caf\xe9", b"fine"])
    text = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
    path = str(tmp_path / "corpus.parquet")
    times = pa.array([1, 2, 2**62], pa.timestamp("us"))
    nested = pa.ListArray.from_arrays([0, 1, 2, 3], text)
    write(path, pa.table({"text": text, "nested": nested, "time": times}), 10)
    for field in ("text", "nested"):
        found = read_corpus("parquet", [path], fields=[field])
        assert found[1] == (1, reject("invalid UTF-8"))
        assert [record[field] for _, record in (found[0], found[2])] in (["ok", "fine"], [["ok"], ["fine"]])
    assert read_corpus("parquet", [path], fields=["time"])[2] == (2, reject("unreadable value"))


def test_a_null_in_lists_of_a_fixed_size_costs_nothing_else(tmp_path, read_corpus):
    path = str(tmp_path / "corpus.parquet")
    lists = pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2))
    deep = pa.array([[[1, 2]], [[3, 4], [5, 6]], None], pa.list_(pa.list_(pa.int32(), 2)))
    write(path, pa.table({"x": lists, "deep": deep}), 10)
    found = [record for _, record in read_corpus("parquet", [path], fields=["x", "deep"])]
    assert [None if r["x"] is None else r["x"].tolist() for r in found] == lists.to_pylist()
    assert [None if r["deep"] is None else r["deep"].tolist() for r in found] == deep.to_pylist()


@pytest.mark.parametrize("order", [None, [1, 0]])
def test_tensors_keep_their_shape(tmp_path, read_corpus, order):
    path = str(tmp_path / "corpus.parquet")
    kind = pa.fixed_shape_tensor(pa.int32(), [2, 3], permutation=order)
    column = pa.ExtensionArray.from_storage(kind, pa.array([range(6), range(6, 12)], kind.storage_type))
    write(path, pa.table({"x": column}), 10)
    found = np.stack([record["x"] for _, record in read_corpus("parquet", [path], fields=["x"])])
    assert np.array_equal(found, column.to_numpy_ndarray())


def test_types_that_keep_their_meaning_are_read_and_others_refused(tmp_path, read_corpus):
    path = str(tmp_path / "corpus.parquet")
    unknown = pa.ExtensionArray.from_storage(pa.opaque(pa.int32(), "geo", "me"), pa.array([1], pa.int32()))
    table = {
        "json": pa.array(['{"a": 1}'], pa.json_()),
        "word": pa.array(["a"]).dictionary_encode(),
        "large": pa.array(["b"], pa.large_string()),
        "geo": unknown,
    }
    write(path, pa.table(table), 10)
    expected = {"json": '{"a": 1}', "word": "a", "large": "b"}
    assert read_corpus("parquet", [path], fields=list(expected)) == [(0, expected)]
    with pytest.raises(SeqmillError, match=r"column geo is of the extension type arrow.opaque"):
        split_corpus("parquet", [path], 100, fields=["geo"])


def test_missing_and_duplicated_columns_are_named_before_work_starts(tmp_path):
    path = str(tmp_path / "corpus.parquet")
    write(path, pa.table({"a": [1], "s": [{"b": 1}]}), 10)
    for field, message in (("x", "no column x; its columns are a, s"), ("s.x", "no field x.*it has b")):
        with pytest.raises(SeqmillError, match=message):
            split_corpus("parquet", [path], 100, fields=[field])
    write(path, pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), 10)
    with pytest.raises(SeqmillError, match="columns occur more than once: a"):
        split_corpus("parquet", [path], 100, fields=["a"])


def test_numbers_in_a_field_name_reach_into_lists(tmp_path, read_corpus):
    path = str(tmp_path / "corpus.parquet")
    write(path, pa.table({"rec": [{"sources": [{"source": "a.wav"}]}]}), 10)
    split_corpus("parquet", [path], 100, fields=["rec.sources.0.source"])
    ((_, record),) = read_corpus("parquet", [path], fields=["rec.sources.0.source"])
    assert get_field(record, "rec.sources.0.source") == "a.wav"


def test_a_file_without_row_groups_has_no_records(tmp_path, read_corpus):
    path = str(tmp_path / "corpus.parquet")
    pq.ParquetWriter(path, pa.schema({"a": pa.int64()})).close()
    assert read_corpus("parquet", [path], fields=["a"]) == []


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


def test_encrypted_columns_end_no_process(tmp_path):
    path = str(tmp_path / "corpus.parquet")
    factory = encryption.CryptoFactory(lambda _: OpenKeys())
    wanted = encryption.EncryptionConfiguration("k", column_keys={"k": ["x"]}, plaintext_footer=True)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), wanted)
    table = pa.table({"x": ["a"], "y": ["b"]})
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(SeqmillError, match="encrypted columns"):
        split_corpus("parquet", [path], 100, fields=["x"])
    # So is a column whose metadata are damaged: Arrow ends the process where it is asked about either.
    broken = find_broken_groups(pq.ParquetFile(path), range(1), [0, 1])
    assert "decrypt" in broken[0]
    assert find_broken_groups(pq.ParquetFile(path), range(1), [1]) == {}


class OpenKeys(encryption.KmsClient):
    def wrap_key(self, key, name):
        return base64.b64encode(key)

    def unwrap_key(self, key, name):
        return base64.b64decode(key)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_footer_is_an_error_or_rejects(tmp_path, seed):
    path = tmp_path / "corpus.parquet"
    write(str(path), pa.table({"x": ["a"] * 50, "y": [[1.0, 2.0]] * 50, "z": [{"a": 1}] * 50}), 20)
    content, rng = path.read_bytes(), np.random.default_rng(seed)
    first = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for _ in range(60):
        changed = bytearray(content)
        changed[rng.integers(first, len(content) - 8)] = rng.integers(256)
        path.write_bytes(changed)
        with suppress(SeqmillError):
            for split in split_corpus("parquet", [str(path)], 100, fields=["x", "y", "z.a"]):
                reader = open_split(split, ["x", "y", "z.a"])
                counts = [getattr(record, "count", 1) for _, record in reader]
                assert sum(counts) == reader.num_records


@pytest.mark.parametrize("rows", [b"\x16\xc9\x01", b"\x16\xca\x01"], ids=["negative", "too many"])
def test_impossible_numbers_of_rows_in_the_footer(tmp_path, rows):
    path = tmp_path / "corpus.parquet"
    write(str(path), pa.table({"x": ["a"] * 100}), 100)
    content = path.read_bytes()
    first = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[first:]
    assert footer.count(b"\x16\xc8\x01") > 1  # 100 as Thrift writes it: of the file, of the row group, …
    path.write_bytes(content[:first] + footer[::-1].replace(b"\x01\xc8\x16", rows[::-1], 1)[::-1])
    with pytest.raises(SeqmillError, match="impossible numbers of rows"):
        split_corpus("parquet", [str(path)], 100, fields=["x"])


def test_nothing_of_what_was_read_is_kept(tmp_path):
    path, before = str(tmp_path / "corpus.parquet"), pa.total_allocated_bytes()
    write(path, pa.table({"x": [np.zeros(100_000, np.float32)] * 20}), 10)
    for _ in range(3):
        for split in split_corpus("parquet", [path], 1, fields=["x"]):
            assert sum(len(record["x"]) for _, record in open_split(split, ["x"])) == 1_000_000
    gc.collect()
    assert pa.total_allocated_bytes() - before < 1_000_000
