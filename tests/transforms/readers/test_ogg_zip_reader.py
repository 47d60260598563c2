import io
import zipfile

import pytest

from seqmill.transforms.readers import open_split, split_corpus
from seqmill.transforms.readers.python_literals import dict_texts, literal_dict
from seqmill.transforms.readers.split import DamagedFileError
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

ENTRIES = [
    {"text": "it's", "duration": 1.5, "file": "a.wav", "seq_name": "corpus/a"},
    {"text": 'say "x}" {', "duration": 0.5, "file": "sub/b.wav"},
    {"text": "back\\slash\n", "duration": 2.0, "file": "c.wav"},
]


def write(path, text=None, sounds=("a.wav", "sub/b.wav", "c.wav"), name="a", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for sound in sounds:
            archive.writestr(f"{name}/{sound}", f"sound of {sound}")
        archive.writestr(f"{name}.txt", repr(ENTRIES) if text is None else text)
    return str(path)


def expected(read=range(3)):
    tags = ["corpus/a", "sub/b.wav", "c.wav"]
    return [
        (
            row,
            {
                **entry,
                "seq_tag": tag,
                "audio": {"bytes": f"sound of {entry['file']}".encode(), "path": entry["file"]},
            },
        )
        for row, (entry, tag) in enumerate(zip(ENTRIES, tags, strict=True))
        if row in read
    ]


@pytest.mark.parametrize("target", [1, 20, 1 << 20])
def test_every_split_has_its_entries(tmp_path, read_corpus, target):
    path = write(tmp_path / "a.zip")
    assert read_corpus("ogg_zip", [path], target, ["audio", "text"]) == expected()
    assert len(split_corpus("ogg_zip", [path], target)) == {1: 3, 20: 3, 1 << 20: 1}[target]


def test_an_archive_may_have_another_name_than_what_is_in_it(tmp_path, read_corpus):
    """RETURNN's ``content_name``."""
    path = write(tmp_path / "train.zip", name="out.ogg")
    assert read_corpus("ogg_zip", [path], fields=["audio", "text"]) == expected()


def test_text_alone_needs_no_sound(tmp_path, read_corpus, write_remote):
    path = write(tmp_path / "other.zip", sounds=(), name="a")
    found = read_corpus("ogg_zip", [path], fields=["text"])
    assert [(row, record["text"]) for row, record in found] == [*enumerate(e["text"] for e in ENTRIES)]
    url = write_remote("a.zip", (tmp_path / "other.zip").read_bytes())
    assert read_corpus("ogg_zip", [url], fields=["text"]) == found


def test_bad_entries_are_rejected(tmp_path, read_corpus, reject):
    entries = [
        "{'text': 'x', 'file': 'a.wav'}",
        "{'text': 'x', 'file': 'none.wav'}",
        "{'text': 'x'}",
        "{'text': __import__('os').system('touch /tmp/x'), 'file': 'a.wav'}",
        "{'text': 1, 'text': 2, 'file': 'a.wav'}",
        "{'text': " + "[" * 50 + "]" * 50 + ", 'file': 'a.wav'}",
        "{'text': '" + "x" * (1 << 20) + "', 'file': 'a.wav'}",
        "{'text': 'x', 'file': 'c.wav'}",
    ]
    path = write(tmp_path / "a.zip", "[" + ",\n".join(entries) + "]", sounds=("a.wav", "c.wav"))
    found = read_corpus("ogg_zip", [path], fields=["audio", "text"])
    assert [record if not isinstance(record, dict) else record["file"] for _, record in found] == [
        "a.wav",
        reject("missing audio file"),
        reject("missing field"),
        reject("not a Python literal"),
        reject("a field occurs twice"),
        reject("nested too deep"),
        reject("larger than is read"),
        "c.wav",
    ]


def test_damage_and_large_files_cost_their_entries(tmp_path, read_corpus, reject):
    path = write(tmp_path / "a.zip", method=zipfile.ZIP_STORED)
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"sound of sub", b"sound if sub"))
    found = read_corpus("ogg_zip", [path], fields=["audio"])
    assert found == [expected()[0], (1, reject("broken record")), expected()[2]]
    found = read_corpus("ogg_zip", [path], fields=["audio"], max_record_size=14)
    assert found == [expected()[0], (1, reject("larger than max_record_size")), expected()[2]]


def test_a_bomb_is_not_unpacked(tmp_path, read_corpus, reject):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/a.wav", bytes(1 << 24))
        archive.writestr("a.txt", "[{'file': 'a.wav', 'text': ''}]")
    content = bytearray(path.read_bytes())
    # Both headers claim 10 bytes.
    for place in (content.index(b"PK\x03\x04") + 22, content.index(b"PK\x01\x02") + 24):
        content[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    assert read_corpus("ogg_zip", [str(path)], fields=["audio"]) == [(0, reject("broken record"))]


@pytest.mark.parametrize(
    ("text", "num_good"),
    [
        ("[{'file': 'a', 'text': 'x'}, {'file': 'b'", 1),
        ("[{'file': 'a', 'text': 'x'}, {'file': 'b", 1),
        ("[{'file': 'a', 'text': 'x'}", 1),
        ("[{'file': 'a', 'text': 'x'}, 5, {'file': 'b'}]", 1),
        ("{'file': 'a'}", 0),
        ("", 0),
        (b"[{'file': 'a'}, {'\xff': 1}]", 0),
    ],
)
def test_a_list_that_is_damaged(tmp_path, read_corpus, text, num_good):
    path = write(tmp_path / "a.zip", text)
    for target in (1, 1 << 20):
        found = read_corpus("ogg_zip", [path], target, ["text"], damaged=True)
        assert len(found) == num_good


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(write(tmp_path / "b.zip") and (tmp_path / "b.zip").read_bytes()[:200])
    with pytest.raises(SeqmillError, match="not a readable zip archive"):
        split_corpus("ogg_zip", [str(path)], 100)
    path.write_bytes(b"text")
    with pytest.raises(SeqmillError, match="expects a zip archive"):
        split_corpus("ogg_zip", [str(path)], 100)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.txt", "[]")
        archive.writestr("y.txt", "[]")
    with pytest.raises(SeqmillError, match=r"expected a.txt.*x.txt, y.txt"):
        split_corpus("ogg_zip", [str(path)], 100)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_texts_of_dicts_in_pieces_of_any_size(size):
    content = ("\ufeff [" + ",\n ".join(map(repr, ENTRIES)) + " ]\n").encode()
    file = io.BytesIO(content)
    texts = dict_texts(iter(lambda: file.read(size), b""))
    assert [literal_dict(text) for text in texts] == ENTRIES


def test_wrong_literals():
    with pytest.raises(RejectedSequence, match="Python literal"):
        literal_dict("[1]")
    with pytest.raises(DamagedFileError, match="list of dicts"):
        list(dict_texts([b"5"]))


def test_entries_are_not_run(tmp_path):
    marker = tmp_path / "ran"
    path = write(tmp_path / "a.zip", f"[{{'file': open({str(marker)!r}, 'w'), 'text': ''}}]")
    (split,) = split_corpus("ogg_zip", [path], 1 << 20)
    ((_, found),) = open_split(split, ["text"])
    assert isinstance(found, RejectedSequence)
    assert not marker.exists()
