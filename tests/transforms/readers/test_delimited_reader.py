import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.readers import delimited, lines, split_corpus
from seqmill.transforms.storage.errors import SeqmillError

CELL = st.text(st.sampled_from('ab,\t"\n\räß 語'), max_size=8)
ROWS = st.lists(st.tuples(CELL, CELL), max_size=30)
DELIMITERS = {"csv": ",", "tsv": "\t"}


def written(format, rows, line_end="\n", header=("a", "b")):
    """As RFC 4180 says: a cell with a delimiter, quote or line end is quoted."""

    def cell(value):
        special = set(value) & {DELIMITERS[format], '"', "\n", "\r"}
        return '"' + value.replace('"', '""') + '"' if special else value

    return "".join(DELIMITERS[format].join(map(cell, row)) + line_end for row in [header, *rows]).encode()


@given(st.just("csv"), ROWS, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 100))
def test_splits_equal_the_rows_written(folder, read_corpus, format, rows, line_end, has_mark, target_bytes):
    path = folder / "corpus.csv"
    path.write_bytes(b"\xef\xbb\xbf" * has_mark + written(format, rows, line_end))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_SCAN_BYTES", 16)
        patch.setattr(lines, "BLOCK_BYTES", 16)
        found = read_corpus(format, [str(path)], target_bytes)
    assert found == [(i, {"a": a, "b": b}) for i, (a, b) in enumerate(rows)]


@given(st.text(st.sampled_from('ab,\t"\n\r\xe9'), max_size=80), st.integers(1, 40))
def test_any_text_reads_the_same_however_it_is_split(folder, read_corpus, text, target_bytes):
    path = folder / "corpus.csv"
    path.write_bytes(b"a,b\n" + text.encode("latin-1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_SCAN_BYTES", 8)
        whole = read_corpus("csv", [str(path)], damaged=None)
        assert read_corpus("csv", [str(path)], target_bytes, damaged=None) == whole


def test_large_quoted_file_is_cut_and_one_with_stray_quotes_is_not(tmp_path, read_corpus):
    clean, stray = tmp_path / "clean.csv", tmp_path / "stray.csv"
    rows = [(f'a "quoted"\nline {i}', "x") for i in range(2000)]
    clean.write_bytes(written("csv", rows))
    stray.write_bytes(b'a,b\n5" disk,x\n' * 1000)
    assert len(split_corpus("csv", [str(clean)], 5000)) >= 10
    assert len(split_corpus("csv", [str(stray)], 5000)) == 1
    assert [record for _, record in read_corpus("csv", [str(clean)], 5000)] == [
        {"a": a, "b": b} for a, b in rows
    ]
    assert read_corpus("csv", [str(stray)])[0] == (0, {"a": '5" disk', "b": "x"})


def test_long_fields_blank_lines_and_bad_rows(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.tsv"
    path.write_bytes(b"a\tb\n1\t" + b"x" * 500_000 + b"\n\n2\n3\t\xff\n4\t4\t4\n5\t\n")
    assert read_corpus("tsv", [str(path)], 100_000) == [
        (0, {"a": "1", "b": "x" * 500_000}),
        (1, reject("wrong number of columns")),
        (2, reject("invalid UTF-8")),
        (3, reject("wrong number of columns")),
        (4, {"a": "5", "b": ""}),
    ]


def test_after_a_quote_that_never_closes_the_rest_is_lost(tmp_path, read_corpus):
    path = tmp_path / "corpus.csv"
    path.write_bytes(b'a,b\n1,2\n3,"4\n5,6\n')
    assert read_corpus("csv", [str(path)], damaged=True) == [(0, {"a": "1", "b": "2"})]


@pytest.mark.parametrize("cell", ["plain", "with\nnewline"])
def test_truncated_file_gives_its_whole_records_and_is_damaged(tmp_path, read_corpus, cell):
    path = tmp_path / "corpus.csv.gz"
    packed = gzip.compress(written("csv", [(f"{cell} {i * i}", str(i)) for i in range(20_000)]))
    path.write_bytes(packed[: len(packed) // 2])
    read = read_corpus("csv", [str(path)], damaged=True)
    assert [record["b"] for _, record in read] == [str(i) for i in range(len(read))]
    assert len(read) > 5000


def test_compressed_and_remote(read_corpus, write_remote):
    content = written("csv", [("1", "x\ny")])
    expected = [(0, {"a": "1", "b": "x\ny"})]
    assert read_corpus("csv", [write_remote("corpus.csv", content)], 1) == expected
    assert read_corpus("csv", [write_remote("corpus.csv.gz", gzip.compress(content))], 1) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "header"),
        (b"\n\na,b\n", "header"),
        (b"a,b,a\n1,2,3\n", "more than once in the header: a"),
        (b"a,\xff\n", "header"),
        (b'a,"b\n1,2\n', "header"),
    ],
)
def test_unusable_headers(tmp_path, content, message):
    path = tmp_path / "corpus.csv"
    path.write_bytes(content)
    with pytest.raises(SeqmillError, match=message) as caught:
        split_corpus("csv", [str(path)], 100)
    assert str(path) in str(caught.value)


def test_tsv_has_no_quotes_and_is_cut_anywhere(tmp_path, read_corpus):
    path = tmp_path / "corpus.tsv"
    rows = [('"Wait," he said', "1"), ('"never closed', "2"), ('tail" end', "3"), ("a", '"b')] * 50
    path.write_bytes(b"a\tb\n" + "".join(f"{a}\t{b}\n" for a, b in rows).encode())
    expected = [(i, {"a": a, "b": b}) for i, (a, b) in enumerate(rows)]
    assert read_corpus("tsv", [str(path)]) == read_corpus("tsv", [str(path)], 100) == expected


def test_with_quoting_no_quote_of_a_tsv_swallows_rows(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.tsv"
    path.write_bytes(b'a\tb\n"x\ty"\t1\n"never closed\t2\nz\t3\n"multi\nline"\t4\n')
    for target_bytes in (10, 1 << 30):
        assert read_corpus("tsv", [str(path)], target_bytes, quoting=True) == [
            (0, {"a": "x\ty", "b": "1"}),
            (1, reject("wrong quoting")),
            (2, {"a": "z", "b": "3"}),
            (3, reject("wrong quoting")),
            (4, {"a": 'line"', "b": "4"}),
        ]


def test_csv_that_rfc_4180_does_not_allow_is_rejected(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.csv"
    path.write_bytes(b'a,b\r\n1,2\r\n3\r4,5\r\n"x" y,6\r\n"in\rside",7\r\n')
    assert read_corpus("csv", [str(path)]) == [
        (0, {"a": "1", "b": "2"}),
        (1, reject("lone carriage return")),
        (2, reject("wrong quoting")),
        (3, {"a": "in\rside", "b": "7"}),
    ]
    path.write_bytes(b'a,b\n"x,2\n')
    assert read_corpus("csv", [str(path)], quoting=False) == [(0, {"a": '"x', "b": "2"})]
    path.write_bytes(b"a,b\r1,2\r3,4\r")
    with pytest.raises(SeqmillError, match="lone carriage return"):
        split_corpus("csv", [str(path)], 100)


def test_a_missing_column_lists_those_that_are_there(tmp_path):
    path = tmp_path / "corpus.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(SeqmillError, match="no column text; its columns are a, b"):
        split_corpus("csv", [str(path)], 100, fields=["a", "text"])


@pytest.mark.parametrize(("format", "quote"), [("csv", ""), ("csv", '"'), ("tsv", "")])
def test_a_long_line_is_rejected_and_the_next_is_read(tmp_path, read_corpus, reject, format, quote):
    path = tmp_path / "corpus"
    mark = DELIMITERS[format]
    long = f"{quote}{'x' * 5000}{quote}{mark}2\n"
    path.write_text(f"a{mark}b\n1{mark}2\n{long}3{mark}4\n")
    assert read_corpus(format, [str(path)], max_record_size=1000) == [
        (0, {"a": "1", "b": "2"}),
        (1, reject("larger than max_record_size")),
        (2, {"a": "3", "b": "4"}),
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("text;n", "its only column is 'text;n': are its columns separated by ';'.$"),
        ("text\tn", r"separated by '\\t'\? Then its format is tsv\."),
        ("text ,n", "no column text; its columns are 'text ', n"),
    ],
)
def test_a_header_of_another_dialect_is_shown_as_it_is(tmp_path, header, message):
    path = tmp_path / "corpus.csv"
    path.write_text(f"{header}\n1\n")
    with pytest.raises(SeqmillError, match=message):
        split_corpus("csv", [str(path)], 100, fields=["text"])


def test_trailing_delimiters_and_zeros(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.csv"
    path.write_bytes(b"a,,\n1,,\n" + bytes(100) + b",,\n2,,\n")
    assert read_corpus("csv", [str(path)], fields=["a"]) == [
        (0, {"a": "1", "": ""}),
        (1, reject("zero bytes in text")),
        (2, {"a": "2", "": ""}),
    ]


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_a_table_that_is_cut_or_has_a_hole_is_damaged(tmp_path, read_corpus, reject, format):
    mark = b"," if format == "csv" else b"\t"
    rows = b"".join(b"%d#2#3\n" % i for i in range(900)).replace(b"#", mark)
    path = tmp_path / f"corpus.{format}"
    path.write_bytes(b"a#b#c\n".replace(b"#", mark) + rows[:-1])
    assert len(read_corpus(format, [str(path)], damaged=False)) == 900
    path.write_bytes(b"a#b#c\n".replace(b"#", mark) + rows[:-3])
    assert read_corpus(format, [str(path)], damaged=True)[-1] == (899, reject("wrong number of columns"))
    path.write_bytes(b"a#b#c\n".replace(b"#", mark) + rows[:2000] + bytes(1024) + rows[3024:])
    assert 700 < len(read_corpus(format, [str(path)], damaged=True)) < 900
