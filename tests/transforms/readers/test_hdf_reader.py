import os
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from seqmill.transforms.readers import declared_labels, split_corpus
from seqmill.transforms.storage.errors import SeqmillError

LENGTHS = np.array([[2, 1], [3, 2], [1, 1], [4, 3]], "i4")
TAGS = ["a", "b", "é", "d"]


def write(path, lengths=LENGTHS, chunks=None, **options):
    """A file laid out as RETURNN's, with two data keys; returns its path as text."""
    with h5py.File(path, "w") as file:
        count = int(lengths[:, 0].sum())
        data = np.arange(count * 2, dtype="f4").reshape(count, 2)
        file.create_dataset("inputs", data=data, chunks=chunks, **options)
        file.create_dataset("targets/data/classes", data=np.arange(int(lengths[:, 1].sum()), dtype="i4"))
        file.create_dataset("seqLengths", data=lengths)
        file["seqTags"] = np.array([tag.encode() + b"\0x" for tag in TAGS[: len(lengths)]], "S9")
    return str(path)


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def plain(found):
    return [
        (position, record)
        if not isinstance(record, dict)
        else (position, {k: np.asarray(v).tolist() if k != "seq_tag" else v for k, v in record.items()})
        for position, record in found
    ]


def expected():
    records, data, classes = [], 0, 0
    for tag, (frames, labels) in zip(TAGS, LENGTHS.tolist(), strict=True):
        rows = np.arange(data * 2, (data + frames) * 2, dtype="f4").reshape(-1, 2).tolist()
        records.append({"seq_tag": tag, "data": rows, "classes": list(range(classes, classes + labels))})
        data, classes = data + frames, classes + labels
    return records


@pytest.mark.parametrize("target", [1, 30, 1 << 20])
def test_every_split_has_its_sequences(tmp_path, read_corpus, target):
    path = write(tmp_path / "a.hdf")
    found = read_corpus("hdf", [path], target, ["data", "classes", "seq_tag"])
    assert plain(found) == [*enumerate(expected())]
    assert len(split_corpus("hdf", [path], target, fields=["data"])) == {1: 4, 30: 2, 1 << 20: 1}[target]
    assert [r for _, r in read_corpus("hdf", [path], target)] == [{"seq_tag": tag} for tag in TAGS]


def test_remote_files_and_large_sequences(tmp_path, read_corpus, write_remote, reject):
    path = write(tmp_path / "a.hdf")
    url = write_remote("a.hdf", (tmp_path / "a.hdf").read_bytes())
    found = read_corpus("hdf", [url], fields=["data", "classes"], max_record_size=32)
    assert plain(found) == [
        (0, expected()[0]),
        (1, expected()[1]),
        (2, expected()[2]),
        (3, reject("larger than max_record_size")),
    ]
    assert split_corpus("hdf", [path], 1 << 20)[0].ends == (4,)


def test_text_and_one_length_for_all_keys(tmp_path, read_corpus):
    path = write(tmp_path / "a.hdf")

    def with_text(file):
        del file["seqLengths"], file["targets/data/classes"]
        file["seqLengths"] = np.ones((4, 3), "i4")
        del file["inputs"]
        file["inputs"] = np.arange(4.0)
        file["targets/data/text"] = ["x", "yy", "zoë", ""]
        file["targets/data/n"] = np.arange(4)

    changed(path, with_text)
    found = read_corpus("hdf", [path], fields=["text", "data"])
    assert [record["text"] for _, record in found] == ["x", "yy", "zoë", ""]
    assert [record["data"].tolist() for _, record in found] == [[0.0], [1.0], [2.0], [3.0]]


def test_labels_are_declared(tmp_path):
    path = write(tmp_path / "a.hdf")
    (split,) = split_corpus("hdf", [path], 1 << 20)
    assert declared_labels(split, "classes") is None
    labels = np.array([b"x", b"y\0", b"\xc3\xa9"])
    changed(path, lambda file: file.create_dataset("targets/labels/classes", data=labels))
    assert declared_labels(split, "classes") == ("x", "y", "é")
    assert declared_labels(split, "data") is None
    for stand_in in ([b"dummy-label"], [b"classes-class-0", b"classes-class-1"]):
        changed(path, lambda file: file.pop("targets/labels/classes"))
        changed(path, lambda file, s=stand_in: file.create_dataset("targets/labels/classes", data=s))
        assert declared_labels(split, "classes") is None
    changed(path, lambda file: file.pop("targets/labels/classes"))
    changed(path, lambda file: file.create_dataset("targets/labels/classes", data=[b"x", b"x"]))
    with pytest.raises(SeqmillError, match="there twice"):
        declared_labels(split, "classes")


def test_damage_costs_the_sequences_that_it_hits(tmp_path, read_corpus, reject):
    path = write(tmp_path / "a.hdf", chunks=(2, 2), fletcher32=True)
    with h5py.File(path) as file:
        chunk = file["inputs"].id.get_chunk_info(1)  # rows 2 and 3, of the second sequence
    with Path(path).open("r+b") as file:
        file.seek(chunk.byte_offset + 3)
        file.write(b"\x99")
    found = plain(read_corpus("hdf", [path], fields=["data", "classes"]))
    whole = expected()
    assert found == [(0, whole[0]), (1, reject("broken record")), (2, whole[2]), (3, whole[3])]


def test_what_was_never_written_is_no_zero(tmp_path, read_corpus, reject):
    path = write(tmp_path / "a.hdf")

    def hollow(file):
        data = file["inputs"][:]
        del file["inputs"]
        array = file.create_dataset("inputs", shape=data.shape, dtype="f4", chunks=(3, 2))
        array[:3], array[6:] = data[:3], data[6:]

    found = plain(read_corpus("hdf", [changed(path, hollow)], fields=["data", "classes"]))
    whole = expected()
    assert found == [
        (0, whole[0]),
        (1, reject("broken record")),
        (2, reject("broken record")),
        (3, whole[3]),
    ]


def test_a_bomb_is_not_unpacked(tmp_path, read_corpus, reject):
    path = write(tmp_path / "a.hdf")

    def bomb(file):
        del file["inputs"]
        options = {"chunks": (100_000, 2), "maxshape": (None, 2), "compression": 9}
        array = file.create_dataset("inputs", shape=(10, 2), dtype="f4", **options)
        packer = zlib.compressobj(9)
        content = b"".join(packer.compress(bytes(1 << 20)) for _ in range(150)) + packer.flush()
        array.id.write_direct_chunk((0, 0), content)

    found = read_corpus("hdf", [changed(path, bomb)], fields=["data"])
    assert [record for _, record in found] == [reject("broken record")] * 4


def replaced(name, value, **options):
    def change(file):
        file.pop(name, None)
        file.create_dataset(name, data=value, **options)

    return change


def _elsewhere(file):
    del file["inputs"]
    file["inputs"] = h5py.ExternalLink("b.hdf", "/inputs")


def _soft(file):
    del file["targets/data/classes"]
    file["targets/data/classes"] = h5py.SoftLink("/seqLengths")


def _external_storage(file):
    del file["inputs"]
    file.create_dataset("inputs", shape=(10, 2), dtype="f4", external=[("/etc/passwd", 0, 80)])


def _virtual(file):
    del file["inputs"]
    layout = h5py.VirtualLayout(shape=(10, 2), dtype="f4")
    layout[:] = h5py.VirtualSource("b.hdf", "inputs", shape=(10, 2))
    file.create_virtual_dataset("inputs", layout)


def _ragged(file):
    del file["inputs"]
    file.create_dataset("inputs", shape=(10,), dtype=h5py.vlen_dtype("f4"))


def _huge(file):
    del file["seqLengths"], file["seqTags"], file["inputs"]
    file.create_dataset("seqLengths", shape=(1 << 50, 2), dtype="i4", chunks=(1 << 20, 2))
    file.create_dataset("seqTags", shape=(1 << 50,), dtype="S1", chunks=(1 << 20,))
    file.create_dataset("inputs", shape=(1 << 50, 2), dtype="f4", chunks=(1 << 20, 2))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_elsewhere, "inputs is a link"),
        (_soft, "classes is a link"),
        (_external_storage, "stands in other files"),
        (_virtual, "stands in other files"),
        (_huge, "never written"),
        (lambda file: file.pop("seqTags"), "no seqTags"),
        (lambda file: file.pop("seqLengths"), "no seqLengths"),
        (replaced("seqLengths", LENGTHS[:3]), "3 lengths"),
        (replaced("seqLengths", LENGTHS[:, :1]), r"shape \[4, 1\] for data, classes"),
        (replaced("seqLengths", LENGTHS + 1), "add up to 14, but 10 rows"),
        (replaced("seqLengths", LENGTHS * [[1, -1]]), "negative"),
        (replaced("seqLengths", np.zeros((4, 2, 2), "i4")), "shape"),
        (replaced("inputs", np.zeros((10, 2), [("a", "f4")])), "of type"),
        (_ragged, "of type"),
        (replaced("inputs", np.zeros((10, 2), "c8")), "of type"),
        (replaced("inputs", np.float32(1)), "inputs is no array"),
        (replaced("seqTags", np.arange(4)), "seqTags of type"),
        (lambda file: file.create_group("seq_names") and file.pop("seqTags"), "NextGenHDFDataset"),
        (lambda file: [file.pop("inputs"), file.pop("targets")], "neither inputs nor targets"),
    ],
)
def test_other_layouts_are_refused(tmp_path, change, problem):
    write(tmp_path / "b.hdf")
    path = changed(write(tmp_path / "a.hdf"), change)
    with pytest.raises(SeqmillError, match=problem) as caught:
        split_corpus("hdf", [path], 1 << 20, fields=["data"])
    assert str(caught.value).startswith(path)


def test_what_is_no_hdf_file_and_missing_keys(tmp_path):
    path = write(tmp_path / "a.hdf")
    with pytest.raises(SeqmillError, match="no data key x; it has data, classes, seq_tag"):
        split_corpus("hdf", [path], 1 << 20, fields=["x"])
    os.truncate(path, 3000)
    with pytest.raises(SeqmillError, match="not a readable HDF5 file"):
        split_corpus("hdf", [path], 1 << 20)
    (tmp_path / "a.hdf").write_bytes(b"PK\x03\x04")
    with pytest.raises(SeqmillError, match="a zip archive; format hdf expects"):
        split_corpus("hdf", [path], 1 << 20)


@pytest.mark.parametrize("place", [16, 1008])
def test_a_damaged_heap_of_strings_is_refused(tmp_path, place):
    path = Path(write(tmp_path / "a.hdf"))

    def with_strings(file):
        del file["seqTags"]
        tags = file.create_dataset("seqTags", (len(LENGTHS),), h5py.string_dtype(), chunks=(2,))
        tags[:] = [f"{tag:300}" for tag in TAGS]

    content = Path(changed(path, with_strings)).read_bytes()
    start = content.index(b"GCOL")
    assert len(split_corpus("hdf", [str(path)], 1 << 20)) == 1
    path.write_bytes(content[: start + place] + bytes(600) + content[start + place + 600 :])
    # In a process of its own, as HDF5 would read for ever and take no signal.
    code = (
        "from seqmill.transforms.readers.hdf_layout import open_layout\n"
        f"with open_layout({str(path)!r}) as file: file.tags(0, 4)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "heap of strings" in done.stderr
