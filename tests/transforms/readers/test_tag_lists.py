import pytest

from seqmill.transforms.readers import TagLists, open_split, split_corpus
from seqmill.transforms.storage.errors import SeqmillError


def read(tmp_path, lines, **lists):
    (tmp_path / "a.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (split,) = split_corpus("jsonl", [f"{tmp_path}/a.jsonl"], 1 << 20)
    paths = {}
    for name, content in lists.items():
        (tmp_path / name).write_bytes(content)
        paths[name] = str(tmp_path / name)
    tags = TagLists("id", paths.get("only"), paths.get("others"))
    reader = open_split(type(split)(split.format, split.files, split.starts, split.ends, tags=tags), ["x"])
    return [(position, getattr(record, "reason", record)) for position, record in reader], reader


def test_what_is_left_out_is_counted(tmp_path):
    lines = ['{"id": "a", "x": 1}', "", '{"id": 7, "x": 2}', "no JSON", '{"x": 3}', '{"id": "é", "x": 4}']
    found, reader = read(tmp_path, lines, only=b" a \r\n\n\xc3\xa9", others=b"\xc3\xa9\n")
    assert found == [(0, {"id": "a", "x": 1}), (3, "not valid JSON"), (4, {"x": 3})]
    assert reader.dropped == {"not in only_tags": 1, "in not_tags": 1}
    assert (reader.num_records, reader.num_positions) == (5, 6)
    found, reader = read(tmp_path, lines, others=b"7\n")
    assert [position for position, _ in found] == [0, 3, 4, 5]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\x1f\x8b\x08\x00rubbish", b"x" * (1 << 21)])
def test_lists_that_are_none(tmp_path, content):
    with pytest.raises(SeqmillError, match="tag"):
        read(tmp_path, ['{"id": "a"}'], only=content)
