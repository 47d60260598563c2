import pytest

from seqmill.transforms.readers import files_of_folder, split_corpus
from seqmill.transforms.storage.errors import SeqmillError


def write(folder, name, lines, sounds):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.trans.txt").write_bytes("".join(f"{line}\n" for line in lines).encode())
    for sound in sounds:
        (folder / sound).write_bytes(b"")


def test_a_folder(tmp_path, read_corpus):
    lines = ["84-12-0000 HELLO  WORLD", "", "84-12-0001\tB"]
    write(tmp_path / "84/12", "84-12", lines, ["84-12-0000.flac", "84-12-0001.wav"])
    write(tmp_path / "7/1", "7-1", ["x zoë"], ["x.mp3"])
    names = {"speaker": "84", "chapter": "12"}
    paths = files_of_folder("librispeech", str(tmp_path))
    assert [record for _, record in read_corpus("librispeech", paths, 10, ["audio"])] == [
        {"seq_tag": "x", "text": "zoë", "audio": "x.mp3"},
        {"seq_tag": "84-12-0000", "text": "HELLO  WORLD", **names, "audio": "84-12-0000.flac"},
        {"seq_tag": "84-12-0001", "text": "B", **names, "audio": "84-12-0001.wav"},
    ]
    assert "audio" not in read_corpus("librispeech", paths, 10, ["text"])[0][1]


def test_bad_lines(tmp_path, read_corpus, reject):
    write(tmp_path, "a", ["a x", "b y", "../c z", "d " + "x" * 100, "e \0"], ["a.flac", "a.wav"])
    with (tmp_path / "a.trans.txt").open("ab") as file:
        file.write(b"f \xff\n")
    found = read_corpus("librispeech", [f"{tmp_path}/a.trans.txt"], 10, ["audio"], max_record_size=50)
    assert [record for _, record in found] == [
        reject("several audio files"),
        reject("missing audio file"),
        reject("missing audio file"),
        reject("larger than max_record_size"),
        reject("zero bytes in text"),
        reject("invalid UTF-8"),
    ]


def test_no_text(tmp_path):
    (tmp_path / "a.trans.txt").write_bytes(b"PK\x03\x04")
    with pytest.raises(SeqmillError, match="a zip archive"):
        split_corpus("librispeech", [f"{tmp_path}/a.trans.txt"], 10)
