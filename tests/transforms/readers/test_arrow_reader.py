import json

import pyarrow as pa
import pytest

from seqmill.transforms.readers import declared_labels, files_of_folder, split_corpus
from seqmill.transforms.storage.errors import SeqmillError

ROWS = [{"id": f"r{n}", "x": [n, n + 1], "deep": {"y": n / 2}, "text": "zoë" * n} for n in range(7)]


def write(path, rows=ROWS, is_stream=True, batch_rows=2, **options):
    table = pa.Table.from_pylist(rows)
    new = pa.ipc.new_stream if is_stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return str(path)


def plain(found):
    return [
        record if not isinstance(record, dict) else {**record, "x": record["x"].tolist()}
        for _, record in found
        if "x" in getattr(record, "keys", list)() or not isinstance(record, dict)
    ]


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("target", [1, 200, 1 << 20])
def test_every_split_has_its_rows(tmp_path, read_corpus, is_stream, target):
    path = write(tmp_path / "a.arrow", is_stream=is_stream)
    found = read_corpus("arrow", [path], target, ["id", "x", "deep.y"])
    wanted = [{name: row[name] for name in ("id", "x", "deep")} for row in ROWS]
    assert plain(found) == wanted
    assert [position for position, _ in found] == [*range(7)]
    assert len(split_corpus("arrow", [path], target)) == {1: 4, 200: 2, 1 << 20: 1}[target]
    assert read_corpus("arrow", [path], target) == [(n, {}) for n in range(7)]


def test_dictionaries_and_compression(tmp_path, read_corpus):
    table = pa.table({"x": [[1], [2], [1]], "t": pa.array(["a", "b", "a"]).dictionary_encode()})
    for new, compression in ((pa.ipc.new_stream, "zstd"), (pa.ipc.new_file, "lz4")):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        path = str(tmp_path / "a.arrow")
        with pa.OSFile(path, "wb") as file, new(file, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=1)
        for target in (1, 1 << 20):
            found = read_corpus("arrow", [path], target, ["t"])
            assert [record["t"] for _, record in found] == ["a", "b", "a"]


def test_remote_and_large_rows(tmp_path, read_corpus, write_remote, reject):
    write(tmp_path / "a.arrow")
    url = write_remote("a.arrow", (tmp_path / "a.arrow").read_bytes())
    found = read_corpus("arrow", [url], 1, ["text"], max_record_size=19)
    assert [record if not isinstance(record, dict) else record["text"] for _, record in found] == [
        *(row["text"] for row in ROWS[:4]),
        *[reject("larger than max_record_size")] * 3,
    ]


def test_bad_text_costs_its_row(tmp_path, read_corpus, reject):
    path = write(tmp_path / "a.arrow", [{"x": [1], "t": t} for t in ("good", "bad!", "fine")], batch_rows=3)
    content = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(content.replace(b"bad!", b"b\xff\xff!"))
    found = read_corpus("arrow", [path], fields=["t"])
    assert [record for _, record in found] == [{"t": "good"}, reject("broken record"), {"t": "fine"}]


def batch_offsets(content):
    """Where the record batches of a stream begin, and where the last ends."""
    reader = pa.BufferReader(content)
    starts = []
    while (message := read_message(reader)) is not None:
        starts.append(message)
    return starts


def read_message(reader):
    at = reader.tell()
    try:
        pa.ipc.read_message(reader)
    except (EOFError, pa.ArrowInvalid):
        return None
    return at


def test_a_broken_batch_costs_its_rows_and_names_the_source(tmp_path, read_corpus):
    path = write(tmp_path / "a.arrow")
    content = bytearray((tmp_path / "a.arrow").read_bytes())
    starts = batch_offsets(bytes(content))  # schema and four batches
    content[starts[2] + 8 : starts[2] + 40] = bytes(32)
    (tmp_path / "a.arrow").write_bytes(content)
    for target in (1, 1 << 20):
        found = read_corpus("arrow", [path], target, ["id"], damaged=True)
        assert [record["id"] for _, record in found][:2] == ["r0", "r1"]
        assert len(found) in (2, 5)


def test_a_stream_that_is_cut_short(tmp_path, read_corpus):
    path = write(tmp_path / "a.arrow")
    content = (tmp_path / "a.arrow").read_bytes()
    starts = batch_offsets(content)
    for size, rows in ((starts[3], 4), (starts[3] + 50, 4), (len(content) - 8, 7), (len(content) - 3, 7)):
        (tmp_path / "a.arrow").write_bytes(content[:size])
        for target in (1, 1 << 20):
            assert len(read_corpus("arrow", [path], target, ["id"], damaged=True)) == rows
    (tmp_path / "a.arrow").write_bytes(content + content)
    assert len(read_corpus("arrow", [path], 1, ["id"], damaged=True)) == 7
    (tmp_path / "a.arrow").write_bytes(content[: starts[1] - 5])
    with pytest.raises(SeqmillError, match="not readable Arrow data"):
        split_corpus("arrow", [path], 1)


def test_random_damage_is_noticed_or_harmless(tmp_path, read_corpus):
    """Values have no checksum; but nothing leads out of the file, and rows are never made up."""
    import random

    path = write(tmp_path / "a.arrow")
    content = (tmp_path / "a.arrow").read_bytes()
    generator = random.Random(1)
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(generator.choice((1, 1, 4))):
            broken[generator.randrange(len(broken))] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
        (tmp_path / "a.arrow").write_bytes(broken)
        try:
            read_corpus("arrow", [path], 1, ["id", "x", "text"], damaged=None)
        except SeqmillError as error:
            assert str(error).startswith(path)


def features(**named):
    return {b"huggingface": json.dumps({"info": {"features": named}}).encode()}


def labels_of(path, metadata, field="label"):
    table = pa.table({"label": [0], "x": [[1]]}).replace_schema_metadata(metadata)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    (split,) = split_corpus("arrow", [str(path)], 1 << 20)
    return declared_labels(split, field)


def test_names_of_classes(tmp_path):
    path = tmp_path / "a.arrow"
    label = {"_type": "ClassLabel", "names": ["no", "yes"]}
    value = {"_type": "Value", "dtype": "int64"}
    assert labels_of(path, features(label=label)) == ("no", "yes")
    assert labels_of(path, features(label={"_type": "Sequence", "feature": label})) == ("no", "yes")
    assert labels_of(path, features(label=[label])) == ("no", "yes")
    assert labels_of(path, features(x={"a": label}), "x.a") == ("no", "yes")
    for metadata in (None, {}, {b"huggingface": b"{"}, {b"huggingface": b"[]"}, features(label=value)):
        assert labels_of(path, metadata) is None
    for names in (["a", "a"], ["a", ""], ["a", 1]):
        with pytest.raises(SeqmillError, match="the ClassLabel label has names that"):
            labels_of(path, features(label={**label, "names": names}))


def test_folders_of_save_to_disk(tmp_path):
    for name in ("data-00000-of-00002.arrow", "data-00001-of-00002.arrow", "cache-1.arrow"):
        write(tmp_path / name)
    folder = str(tmp_path)
    assert len(files_of_folder("arrow", folder)) == 3
    listed = [{"filename": f"data-0000{n}-of-00002.arrow"} for n in (1, 0)]
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": listed}))
    assert files_of_folder("arrow", folder) == [f"{folder}/{entry['filename']}" for entry in listed]
    with pytest.raises(SeqmillError, match="beside it does not list it"):
        split_corpus("arrow", [f"{folder}/cache-1.arrow"], 1)
    for state, problem in (
        ({"_data_files": listed, "_indices_files": [{"filename": "i"}]}, "chosen by indices"),
        ({"_data_files": [{"filename": "../b.arrow"}]}, "leads outside"),
        ({"_data_files": [{"filename": "/etc/passwd"}]}, "leads outside"),
        ({"_data_files": 5}, "expected a list of files"),
        ([], "expected an object"),
    ):
        (tmp_path / "state.json").write_text(json.dumps(state))
        with pytest.raises(SeqmillError, match=problem):
            files_of_folder("arrow", folder)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(SeqmillError, match=r"several data sets \(\['train', 'test'\]\)"):
        files_of_folder("arrow", folder)
