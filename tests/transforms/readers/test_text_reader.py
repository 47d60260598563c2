import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.readers import split_corpus, text
from seqmill.transforms.storage.errors import SeqmillError, UsageError

LINE = st.one_of(
    st.just(b""),
    st.just(b"bad \xff"),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\ufeff")).map(str.encode),
)


@st.composite
def aligned_files(draw):
    """Files of equally many lines: their content and, per line, the lines of both files."""
    pairs = draw(st.lists(st.tuples(LINE, LINE), max_size=30))
    contents = []
    for column in (0, 1):
        end = draw(st.sampled_from([b"\n", b"\r\n"]))
        content = b"".join(pair[column] + end for pair in pairs)
        if pairs and pairs[-1][column] and draw(st.booleans()):
            content = content.removesuffix(end)
        if pairs and draw(st.booleans()):
            content = b"\xef\xbb\xbf" + content
        contents.append(content)
    return contents, pairs


@given(aligned_files(), st.integers(1, 100), st.integers(1, 64))
def test_splits_equal_the_whole_files(folder, read_corpus, reject, corpus, target_bytes, scan_bytes):
    contents, pairs = corpus
    paths = [str(folder / name) for name in ("data.txt", "classes.txt")]
    for path, content in zip(paths, contents, strict=True):
        (folder / path).write_bytes(content)
    expected = [
        (i, reject("invalid UTF-8"))
        if b"bad \xff" in pair
        else (i, {"data": pair[0].decode(), "classes": pair[1].decode()})
        for i, pair in enumerate(pairs)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "_SCAN_BYTES", scan_bytes)
        files = {"data": paths[:1], "classes": paths[1:]}
        assert read_corpus("text", files, target_bytes) == expected


def test_several_sets_follow_each_other_and_are_split(tmp_path, read_corpus):
    files = {key: [str(tmp_path / f"{key}{part}.txt") for part in (0, 1)] for key in ("data", "classes")}
    for key, paths in files.items():
        for part, path in enumerate(paths):
            (tmp_path / path).write_text("".join(f"{key} {part} {i}\n" for i in range(1000)))
    splits = split_corpus("text", files, 2000)
    assert len(splits) == 2 * 7
    found = read_corpus("text", files, 2000)
    assert found[1500] == (1500, {"data": "data 1 500", "classes": "classes 1 500"})
    assert len(found) == 2000


@pytest.mark.parametrize("remote", [False, True])
def test_compressed_beside_plain(tmp_path, read_corpus, write_remote, remote):
    contents = {"data.txt.gz": gzip.compress(b"a\nb"), "classes.txt": b"c\r\nd\r\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    data, classes = (
        write_remote(name, content) if remote else str(tmp_path / name) for name, content in contents.items()
    )
    found = read_corpus("text", {"data": [data], "classes": [classes]}, 1)
    assert found == [(0, {"data": "a", "classes": "c"}), (1, {"data": "b", "classes": "d"})]


@pytest.mark.parametrize("compressed", [False, True])
def test_different_numbers_of_lines_are_an_error_that_names_both(tmp_path, read_corpus, compressed):
    data, classes = tmp_path / "data.txt", tmp_path / ("classes.txt.gz" if compressed else "classes.txt")
    data.write_bytes(b"a\nb\nc\n")
    content = b"".join(b"%d\n" % i for i in range(5000))
    classes.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(SeqmillError) as caught:
        read_corpus("text", {"data": [str(data)], "classes": [str(classes)]})
    assert f"{data} has 3 lines" in str(caught.value)
    assert f"{classes} has 5000 lines" in str(caught.value)


def test_truncated_file_ends_the_set_and_is_damaged(tmp_path, read_corpus):
    data, classes = tmp_path / "data.txt", tmp_path / "classes.txt.gz"
    data.write_bytes(b"".join(b"%d\n" % i for i in range(5000)))
    classes.write_bytes(gzip.compress(data.read_bytes())[:-2000])
    read = read_corpus("text", {"data": [str(data)], "classes": [str(classes)]}, damaged=True)
    assert 0 < len(read) < 5000
    assert all(record == {"data": str(i), "classes": str(i)} for i, record in read)


def test_different_numbers_of_files_are_wrong_use():
    with pytest.raises(UsageError, match="'classes': 2"):
        split_corpus("text", {"data": ["a"], "classes": ["b", "c"]}, 100)


def test_a_line_of_zeros_is_rejected_and_other_separators_are_kept(tmp_path, read_corpus, reject):
    path = tmp_path / "data.txt"
    path.write_bytes("a\u2028\x85\x0b\x0cb\n".encode() + bytes(5000) + b"\nc\n")
    assert read_corpus("text", {"data": [str(path)]}, damaged=True) == [
        (0, {"data": "a\u2028\x85\x0b\x0cb"}),
        (1, reject("zero bytes in text")),
        (2, {"data": "c"}),
    ]
