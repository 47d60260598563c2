from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.readers import split_corpus
from seqmill.transforms.readers.sorted_lines import SortedLines
from seqmill.transforms.storage.errors import SeqmillError


def write(folder, **named):
    """Files of a Kaldi folder by name, ``wav_scp`` for wav.scp; returns the path of one."""
    for name, lines in named.items():
        content = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
        (folder / name.replace("_scp", ".scp")).write_bytes(content)
    return str(folder / next(iter(named)).replace("_scp", ".scp"))


UTTERANCES = [f"spk{n // 10}-{n:03d}" for n in range(30)]


@pytest.mark.parametrize("target", [1, 50, 1 << 20])
def test_files_are_cut_before_the_same_utterance(tmp_path, read_corpus, target):
    path = write(
        tmp_path,
        wav_scp=[f"{u} wav/{u}.wav" for u in UTTERANCES],
        text=[f"{u}\ta  b {n} " for n, u in enumerate(UTTERANCES)],
        utt2spk=[f"{u} {u[:4]}" for u in UTTERANCES],
    )
    found = read_corpus("kaldi", [path], target, ["wav", "text", "utt2spk", "seq_tag"])
    assert found == [
        (n, {"seq_tag": u, "wav": f"wav/{u}.wav", "text": f"a  b {n}", "utt2spk": u[:4]})
        for n, u in enumerate(UTTERANCES)
    ]
    assert [r for _, r in read_corpus("kaldi", [path], target, ["text"])] == [
        {"seq_tag": u, "text": f"a  b {n}"} for n, u in enumerate(UTTERANCES)
    ]


@pytest.mark.parametrize("target", [1, 40, 1 << 20])
def test_utterances_that_a_file_lacks_are_there_without_its_field(tmp_path, read_corpus, target):
    path = write(
        tmp_path, feats_scp=["b x.ark:3", "c x.ark:90[0:3]", "e y.ark:7"], text=["a one", "b", "e two"]
    )
    found = read_corpus("kaldi", [path], target, ["feats", "text"])
    assert [record for _, record in found] == [
        {"seq_tag": "a", "text": "one"},
        {"seq_tag": "b", "feats": "x.ark:3", "text": ""},
        {"seq_tag": "c", "feats": "x.ark:90[0:3]"},
        {"seq_tag": "e", "feats": "y.ark:7", "text": "two"},
    ]


def test_segments_of_recordings(tmp_path, read_corpus, reject):
    path = write(
        tmp_path,
        wav_scp=["r1 a b.wav", "r2 sox x.wav -t wav - |", "r3 c.wav"],
        segments=[
            "u1 r3 0.5 1.25",
            "u2 r1 1 -1",
            "u3 r1 0 2 1",
            "u4 r2 0 1",
            "u5 r9 0 1",
            "u6 r1 -1 1",
            "u7 r1 0",
        ],
    )
    assert [record for _, record in read_corpus("kaldi", [path], 10, ["wav"])] == [
        {"seq_tag": "u1", "wav": "c.wav", "offset": 0.5, "duration": 0.75},
        {"seq_tag": "u2", "wav": "a b.wav", "offset": 1.0},
        {"seq_tag": "u3", "wav": "a b.wav", "offset": 0.0, "duration": 2.0, "channel": 1},
        reject("a command instead of a file"),
        reject("missing recording"),
        reject("no such segment"),
        reject("no such segment"),
    ]


def test_nothing_is_executed(tmp_path, read_corpus, reject):
    marker = tmp_path / "ran"
    path = write(
        tmp_path,
        wav_scp=[f"a touch {marker} |", f"b |touch {marker}", "c -", "e \xff"],
    )
    assert [record for _, record in read_corpus("kaldi", [path], 10, ["wav"])][:3] == [
        reject("a command instead of a file"),
        reject("a command instead of a file"),
        reject("a command instead of a file"),
    ]
    assert not marker.exists()


def test_bad_bytes(tmp_path, read_corpus, reject):
    path = write(tmp_path, text=b"a x\nb \xff\nc y\0\nd z")
    assert [record for _, record in read_corpus("kaldi", [path], 10, ["text"])] == [
        {"seq_tag": "a", "text": "x"},
        reject("invalid UTF-8"),
        reject("zero bytes in text"),
        {"seq_tag": "d", "text": "z"},
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["b x", "a x"], "text, line 2: the key 'a' comes behind a larger one"),
        (["a x", "a y"], "line 2: the key 'a' is there twice"),
        (["a x", "", "b y"], "line 2: the key '' comes behind"),
        (["a " + "x" * 200], "a line of 202 bytes"),
    ],
)
def test_files_that_are_not_sorted_are_refused(tmp_path, read_corpus, lines, problem):
    path = write(tmp_path, text=lines)
    with pytest.raises(SeqmillError, match=problem):
        read_corpus("kaldi", [path], 10, ["text"], max_record_size=100)


def test_what_is_not_there(tmp_path):
    path = write(tmp_path, text=["a x"])
    with pytest.raises(SeqmillError, match=r"no file feats or feats.scp in this Kaldi folder; it has text"):
        split_corpus("kaldi", [path], 100, fields=["feats"])
    with pytest.raises(SeqmillError, match="no file"):
        split_corpus("kaldi", [path], 100, fields=["../text"])
    write(tmp_path, segments=["a r 0 1"])
    with pytest.raises(SeqmillError, match="no file wav"):
        split_corpus("kaldi", [path], 100, fields=["wav"])


@given(
    keys=st.sets(
        st.binary(min_size=1, max_size=3).filter(lambda key: len(key.split()) == 1 and key.strip() == key)
    ),
    wanted=st.binary(min_size=1, max_size=3),
    is_cut=st.booleans(),
)
def test_bisect_finds_what_a_list_finds(folder, keys, wanted, is_cut):
    keys = sorted(key for key in keys if b"\n" not in key)
    lines = [key + b" " + b"x" * (len(key) * 3) + b"\n" for key in keys]
    content = b"".join(lines)
    path = folder / "sorted"
    path.write_bytes(content.removesuffix(b"\n") if is_cut else content)
    found = SortedLines(str(path))
    expected = sum(map(len, lines[: bisect_left(keys, wanted)]))
    assert found.bisect(wanted) == min(expected, found.size)
    assert found.get(wanted) == (b"x" * (len(wanted) * 3) if wanted in keys else None)
