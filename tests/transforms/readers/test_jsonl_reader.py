import gzip
import pickle

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.readers import lines, open_split, split_corpus
from seqmill.transforms.storage.errors import RejectedSequence

LINES = st.lists(
    st.one_of(
        st.just(b""),
        st.just(b"  \r"),
        st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=3).map(orjson.dumps),
        st.just('{"käse": "\\n\u2028"}'.encode()),
        st.just(b'{"a": 1}\r'),
        st.just(b'{"a": '),
        st.just(b"[1]"),
        st.just(b'{"a": "\xff"}'),
    ),
    max_size=30,
)


def expected_records(content, reject):
    """What one loop over the file's lines finds."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    found = []
    for position, line in enumerate(content.split(b"\n")):
        if not line.strip():
            continue
        if line == b'{"a": ':
            found.append((position, reject("not valid JSON")))
        elif line == b"[1]":
            found.append((position, reject("not a JSON object")))
        elif b"\xff" in line:
            found.append((position, reject("invalid UTF-8")))
        else:
            found.append((position, orjson.loads(line)))
    return found


@given(LINES, st.booleans(), st.booleans(), st.integers(1, 200), st.integers(1, 64))
def test_splits_equal_the_whole_file(
    folder, read_corpus, reject, written, newline_at_end, has_mark, target_bytes, block_bytes
):
    content = b"\xef\xbb\xbf" * has_mark + b"\n".join(written) + b"\n" * newline_at_end
    path = folder / "corpus.jsonl"
    path.write_bytes(content)
    is_cut = content.endswith((b'{"a": ', b'\xff"}'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block_bytes)
        found = read_corpus("jsonl", [str(path)], target_bytes, damaged=is_cut)
        assert found == expected_records(content, reject)


@pytest.mark.parametrize("part", [b'"y": ', b"[1, [2, ", b"4]}"])
def test_a_file_that_is_cut_inside_of_an_object_is_damaged(tmp_path, read_corpus, part):
    content = b'{"x": 0}\n{"x": 1, "y": [1, [2, 3], 4]}'
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(content)
    assert len(read_corpus("jsonl", [str(path)], damaged=False)) == 2
    path.write_bytes(content[: content.index(part) + len(part) - 1])
    assert read_corpus("jsonl", [str(path)], damaged=True)[0] == (0, {"x": 0})


@pytest.mark.parametrize("place", [40_000, 499_000])
def test_a_hole_costs_an_unknown_number_of_lines(tmp_path, read_corpus, place):
    content = b"".join(b'{"x": %9d, "y": "%80d"}\n' % (i, i) for i in range(5000))[:500_000]
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(content[:place] + bytes(4096) + content[place + 4096 :])
    found = [
        record for _, record in read_corpus("jsonl", [str(path)], damaged=True) if isinstance(record, dict)
    ]
    assert 4000 < len(found) < 5000


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_compressed_and_remote_files_read_like_plain_ones(tmp_path, read_corpus, write_remote, suffix):
    content = b"".join(orjson.dumps({"i": i, "text": "x" * (i % 50)}) + b"\n" for i in range(20_000))
    packed = compress(suffix, content)
    path = tmp_path / f"corpus{suffix}"
    path.write_bytes(packed)
    expected = [(i, {"i": i, "text": "x" * (i % 50)}) for i in range(20_000)]
    assert read_corpus("jsonl", [str(path)], 100_000) == expected
    assert read_corpus("jsonl", [write_remote(f"corpus{suffix}", packed)], 100_000) == expected


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_of_several_compressed_members_is_read_whole(tmp_path, read_corpus, suffix):
    path = tmp_path / f"corpus.jsonl{suffix}"
    path.write_bytes(compress(suffix, b'{"a": 1}\n{"a"') + compress(suffix, b": 2}\n"))
    assert read_corpus("jsonl", [str(path)]) == [(0, {"a": 1}), (1, {"a": 2})]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("num_lines", [50, 60_000])
@pytest.mark.parametrize("share", [0.3, 0.999])
def test_truncated_file_gives_its_whole_lines_and_is_damaged(tmp_path, read_corpus, suffix, num_lines, share):
    content = b"".join(orjson.dumps({"i": i, "h": hash((i, i))}) + b"\n" for i in range(num_lines))
    packed = compress(suffix, content)
    path = tmp_path / f"corpus.jsonl{suffix}"
    path.write_bytes(packed[: int(len(packed) * share)])
    read = read_corpus("jsonl", [str(path)], damaged=True)
    assert [record["i"] for _, record in read] == list(range(len(read)))
    if suffix == ".gz":
        assert len(read) == recoverable_lines(packed[: int(len(packed) * share)])


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compression_is_known_by_magic_bytes_and_not_by_name(tmp_path, read_corpus, suffix):
    plain, named, upper = (tmp_path / name for name in (f"a.jsonl{suffix}", "b.jsonl", f"c{suffix.upper()}"))
    plain.write_bytes(b'{"a": 1}\n')
    for path in (named, upper):
        path.write_bytes(compress(suffix, b'{"a": 1}\n'))
    assert read_corpus("jsonl", [str(plain), str(named), str(upper)]) == [(i, {"a": 1}) for i in range(3)]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_an_empty_compressed_file_is_damaged(tmp_path, read_corpus, suffix):
    path = tmp_path / f"corpus.jsonl{suffix}"
    path.write_bytes(b"")
    assert read_corpus("jsonl", [str(path)], damaged=True) == []


def test_plain_files_are_split_evenly_and_splits_pickle(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 1000)
    splits = split_corpus("jsonl", [str(path)], 1000)
    assert [split.starts[0] for split in splits] == list(range(0, 9000, 1000))
    assert [split.ends[0] for split in splits] == list(range(1000, 9001, 1000))
    assert pickle.loads(pickle.dumps(splits)) == splits
    assert {split.source for split in splits} == {str(path)}


def test_a_line_longer_than_many_splits_and_blocks(tmp_path, read_corpus):
    path = tmp_path / "corpus.jsonl"
    long = {"text": "x" * 1_000_000}
    path.write_bytes(b'{"a": 1}\n' + orjson.dumps(long) + b'\n{"a": 2}')
    assert read_corpus("jsonl", [str(path)], 1000) == [(0, {"a": 1}), (1, long), (2, {"a": 2})]


def test_rejects_say_what_is_wrong(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"7\n")
    [(_, rejected)] = open_split(split_corpus("jsonl", [str(path)], 100)[0], [])
    assert isinstance(rejected, RejectedSequence)
    assert "int" in rejected.detail


def compress(suffix, content):
    if suffix.endswith(".gz"):
        return gzip.compress(content)
    if suffix.endswith(".zst"):
        return pa.Codec("zstd").compress(content, asbytes=True)
    return content


def recoverable_lines(packed):
    import zlib

    return zlib.decompressobj(31).decompress(packed).count(b"\n")


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_a_long_line_is_one_reject_whatever_the_blocks(tmp_path, read_corpus, reject, size):
    path = tmp_path / "corpus.jsonl"
    some = [{"a": "x" * length} for length in (1, 900, 991, 992, 5000, 3)]
    path.write_bytes(b"\n".join(map(orjson.dumps, some)))
    expected = [
        (i, one if len(orjson.dumps(one)) <= 999 else reject("larger than max_record_size"))
        for i, one in enumerate(some)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", size)
        for target_bytes in (100, 1 << 30):
            assert read_corpus("jsonl", [str(path)], target_bytes, max_record_size=999) == expected


def test_nan_costs_only_records_that_are_asked_for_it(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"x": "ab", "score": NaN}\n{"x": [1, -Infinity]}\n{"x": 1, "y": nan}\n{"x": "c"}\n')
    found = read_corpus("jsonl", [str(path)], fields=["x"])
    assert found[0][1]["x"] == "ab"
    assert found[1:] == [
        (1, reject("NaN or Infinity")),
        (2, reject("not valid JSON")),
        (3, {"x": "c"}),
    ]


def test_an_object_with_a_wanted_field_twice_is_rejected(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        '{"x": 1, "x": 2}\n{"x": 1, "y": {"x": 2}}\n{"x": "\\"x\\"", "y": "x"}\n{"x": 1, "z": 1, "z": 2}\n'
    )
    found = read_corpus("jsonl", [str(path)], fields=["x"])
    assert found[0] == (0, reject("a field occurs twice"))
    assert [record["x"] for _, record in found[1:]] == [1, '"x"', 1]


def test_a_repeated_field_is_found_beside_lines_that_lack_it_and_inside_of_others(
    tmp_path, read_corpus, reject
):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"y": 1}\n{"x": 1, "x": 2}\n{"x": 3}\n')
    found = read_corpus("jsonl", [str(path)], fields=["x"])
    assert found == [(0, {"y": 1}), (1, reject("a field occurs twice")), (2, {"x": 3})]
    path.write_text('{"a": {"b": 1, "b": 2}}\n{"a": {"c": 1}}\n{"a": {"b": 3}}\n')
    found = read_corpus("jsonl", [str(path)], fields=["a.b"])
    assert found == [(0, reject("a field occurs twice")), (1, {"a": {"c": 1}}), (2, {"a": {"b": 3}})]


def test_what_python_alone_reads_costs_only_records_that_are_asked_for_it(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"x": "ab", "y": "\\ud83d"}\n{"x": 1, "y": 1e999}\n{"x": -1e999}\n{"x": "c"}\n')
    found = read_corpus("jsonl", [str(path)], fields=["x"])
    assert [record["x"] for _, record in found[:2]] == ["ab", 1]
    assert found[2:] == [(2, reject("NaN or Infinity")), (3, {"x": "c"})]


def test_deep_nesting_and_huge_numbers_end_nothing(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.jsonl"
    deep = "[" * 100_000 + "]" * 100_000
    path.write_text(f'{{"x": {deep}}}\n{{"x": {"9" * 5000}}}\n{{"x": NaN, "y": {deep}}}\n{{"x": 1}}\n')
    found = read_corpus("jsonl", [str(path)], fields=["x"])
    assert found[0] == (0, reject("not valid JSON"))
    assert found[2:] == [(2, reject("not valid JSON")), (3, {"x": 1})]
