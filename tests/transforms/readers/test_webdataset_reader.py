import gzip
import io
import tarfile
from dataclasses import dataclass

import pytest

from seqmill.transforms.readers import split_corpus
from seqmill.transforms.storage.errors import SeqmillError


@dataclass
class Special:
    """A member that is no file."""

    type: bytes


FIELDS = ["wav", "txt", "cls", "json.a"]


def tar(members, format=tarfile.PAX_FORMAT):
    """An archive of (name, content); or (name, Special)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if not isinstance(content, Special):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content.type, "/etc/passwd"
                archive.addfile(member)
    return file.getvalue()


def members(count=4, folder="a/"):
    for n in range(count):
        yield f"{folder}utt{n}.wav", b"w" * (100 * n + 1)
        yield f"{folder}utt{n}.txt", f"text zoë {n}".encode()
        yield f"{folder}utt{n}.cls", f"{n}\n".encode()
        yield f"{folder}utt{n}.json", b'{"a": [1, {"b": %d}]}' % n


def expected(count=4, folder="a/"):
    return [
        {
            "seq_tag": f"{folder}utt{n}",
            "wav": b"w" * (100 * n + 1),
            "txt": f"text zoë {n}",
            "cls": n,
            "json": {"a": [1, {"b": n}]},
        }
        for n in range(count)
    ]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("folder", ["", "./", "a.b/", "x" * 130 + "/" + "é" * 60 + "/"])
@pytest.mark.parametrize("target", [1, 4000, 1 << 20])
def test_every_split_has_its_records(tmp_path, read_corpus, format, folder, target):
    if format == tarfile.USTAR_FORMAT and len(folder) > 99:
        pytest.skip("ustar has no such names")
    path = tmp_path / "a.tar"
    path.write_bytes(tar(members(folder=folder), format))
    found = read_corpus("webdataset", [str(path)], target, FIELDS)
    assert found == [*enumerate(expected(folder=folder))]
    if target == 1:
        assert len(split_corpus("webdataset", [str(path)], 1)) == 4


def test_compressed_and_remote_archives(tmp_path, read_corpus, write_remote):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tar(members())))
    assert read_corpus("webdataset", [str(path)], 1, FIELDS) == [*enumerate(expected())]
    url = write_remote("a.tar", tar(members()))
    assert read_corpus("webdataset", [url], 1, FIELDS) == [*enumerate(expected())]
    path.write_bytes(path.read_bytes()[:-20])
    assert len(read_corpus("webdataset", [str(path)], 1, FIELDS, damaged=True)) >= 3


def test_names_that_are_no_records(tmp_path, read_corpus, reject):
    path = tmp_path / "a.tar"
    content = [
        ("a", Special(tarfile.DIRTYPE)),
        ("README", b"x"),
        (".hidden", b"x"),
        ("__meta__/x.txt", b"x"),
        ("a/b.txt", b"one"),
        ("a/b.seg.txt", b"two"),
        ("a/c.TXT", b"three"),
        ("../../etc/x.txt", b"four"),
        ("/abs/y.txt", b"five"),
        ("d.txt", b"six"),
        ("d.txt", b"seven"),
        ("e.txt", Special(tarfile.SYMTYPE)),
        ("f.txt", Special(tarfile.LNKTYPE)),
        ("g.txt", Special(tarfile.FIFOTYPE)),
        ("h.txt", Special(tarfile.CHRTYPE)),
        ("i.txt", b"\xff"),
        ("j.wav", Special(tarfile.SYMTYPE)),
    ]
    path.write_bytes(tar(content))
    found = [record for _, record in read_corpus("webdataset", [str(path)], 1 << 20, ["txt", "seg.txt"])]
    assert found == [
        {"seq_tag": "a/b", "txt": "one", "seg.txt": "two"},
        {"seq_tag": "a/c", "txt": "three"},
        {"seq_tag": "../../etc/x", "txt": "four"},
        {"seq_tag": "/abs/y", "txt": "five"},
        reject("a field occurs twice"),
        reject("a link in the archive"),
        reject("a link in the archive"),
        reject("a pipe in the archive"),
        reject("a device in the archive"),
        reject("not valid txt"),
        {"seq_tag": "j"},
    ]


def test_large_records_and_bad_values(tmp_path, read_corpus, reject):
    path = tmp_path / "a.tar"
    content = [("a.cls", b"1_0"), ("b.cls", b"x"), ("c.json", b"{"), ("d.wav", b"w" * 300), ("e.cls", b" 7 ")]
    path.write_bytes(tar(content))
    found = read_corpus("webdataset", [str(path)], 1, FIELDS, max_record_size=299)
    assert [record for _, record in found] == [
        reject("not valid cls"),
        reject("not valid cls"),
        reject("not valid json"),
        reject("larger than max_record_size"),
        {"seq_tag": "e", "cls": 7},
    ]


@pytest.mark.parametrize("target", [1, 1 << 20])
def test_reading_goes_on_behind_a_damaged_header(tmp_path, read_corpus, target):
    content = bytearray(tar((f"{n}.txt", b"text") for n in range(5)))
    content[2 * 1024 + 3] ^= 1  # of the third header
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    found = read_corpus("webdataset", [str(path)], target, ["txt"], damaged=True)
    assert [record["seq_tag"] for _, record in found] == ["0", "1", "3", "4"]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 1500, 5 * 1024 - 1, 5 * 1024, 5 * 1024 + 512])
def test_a_damaged_tail(tmp_path, read_corpus, size):
    path = tmp_path / "a.tar"
    whole = tar((f"{n}.txt", b"text") for n in range(5))
    path.write_bytes(whole[:size])
    if size < 512:
        with pytest.raises(SeqmillError, match="expects a tar archive"):
            read_corpus("webdataset", [str(path)], 1, ["txt"])
        return
    found = read_corpus("webdataset", [str(path)], 1, ["txt"], damaged=size < 5 * 1024 + 512)
    good = [record for _, record in found if isinstance(record, dict)]
    assert len(good) == min(5, (size - 516) // 1024 + 1)


def test_what_claims_to_be_huge(tmp_path, read_corpus, reject):
    content = bytearray(tar([("a.txt", b"x"), ("b.txt", b"y")], tarfile.GNU_FORMAT))
    member = tarfile.TarInfo("a.txt")
    member.size = 1 << 60
    content[:512] = member.tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    found = read_corpus("webdataset", [str(path)], 1, ["txt"], damaged=True)
    assert [record for _, record in found] == [reject("larger than max_record_size")]
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 1 << 50
    path.write_bytes(long_name.tobuf(tarfile.GNU_FORMAT) + bytes(content[1024:]))
    found = read_corpus("webdataset", [str(path)], 1, ["txt"], damaged=True)
    assert [record for _, record in found] == [{"seq_tag": "b", "txt": "y"}]


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"text" * 200)
    with pytest.raises(SeqmillError, match="something else; format webdataset expects a tar archive"):
        split_corpus("webdataset", [str(path)], 1)
    path.write_bytes(gzip.compress(b"text" * 200))
    with pytest.raises(SeqmillError, match="expects a tar archive"):
        split_corpus("webdataset", [str(path)], 1)
