"""What bad input gets: a counted reject with its place, or one clear message; never half an output."""

import gzip
import io
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from seqmill_runs import rejects, write_config, write_jsonl

from seqmill.transforms.batches import manifest
from seqmill.transforms.store.sequence_store import read_manifest as read_store_manifest

INTS = {"x": {"type": "ints"}}
FLOATS = {"x": {"type": "floats"}}


def jsonl_corpus(folder, records, name="a.jsonl"):
    write_jsonl(folder / name, records)
    return {"train": {"format": "jsonl", "files": [name]}}


def assert_nothing_complete(folder):
    assert not list((folder / "out").rglob("manifest.json"))


# Bad records: counted rejects, or too many of them.

BAD_RECORDS = {
    "ints": (
        {"x": [1]},
        [
            ('{"x": [1', "not valid JSON"),
            ("[1, 2]", "not a JSON object"),
            (b'{"x": [1], "y": "\xff"}', "invalid UTF-8"),
            ({"y": [1]}, "missing field"),
            ({"x": {"a": 1}}, "x: expected ints, found object"),
            ({"x": None}, "x: expected ints, found null"),
            ({"x": "1 2"}, "x: expected ints, found str"),
            ({"x": [1, "2"]}, "x: expected ints, found str"),
            ({"x": [1, 2.5]}, "x: expected ints, found float"),
            ({"x": [1 << 40]}, "x: integer out of range"),
            ({"x": []}, "x: empty sequence"),
        ],
    ),
    "floats": (
        {"x": [[1, 2.5]]},
        [
            ('{"x": [[1.0, NaN]]}', "NaN or Infinity"),
            ({"x": [[1e300, 2]]}, "x: not finite"),
            ({"x": [[1, 2], [3]]}, "x: ragged rows"),
            ({"x": [[1, 2, 3]]}, "x: feature size differs"),
            ({"x": [1, 2]}, "x: feature size differs"),
            ({"x": [["1", "2"]]}, "x: expected floats, found str"),
        ],
    ),
    "chars": ({"x": "ab"}, [({"x": ""}, "x: empty sequence"), ('{"x": "\\ud800"}', "x: not valid Unicode")]),
    "words": ({"x": "a b"}, [({"x": [1]}, "x: expected str, found int"), ({"x": "  "}, "x: empty sequence")]),
    "bytes": ({"x": "ab"}, [({"x": 3}, "x: expected str or bytes, found int")]),
}


@pytest.mark.parametrize("key_type", BAD_RECORDS)
def test_bad_records_are_counted_and_listed_with_their_lines(tmp_path, seqmill, key_type):
    good, bad = BAD_RECORDS[key_type]
    records = [record for pair in bad for record in (good, pair[0])]
    config = write_config(
        tmp_path, {"x": {"type": key_type}}, jsonl_corpus(tmp_path, records), max_rejected=0.5
    )
    ended = seqmill.succeeds("preprocess", config)
    listed = rejects(tmp_path / "out")
    expected = [(2 * number, reason) for number, (_, reason) in enumerate(bad, 1)]
    assert [(reject["position"], reject["reason"]) for reject in listed] == expected
    assert {reject["source"] for reject in listed} == {"a.jsonl"}
    counts = manifest.read(str(tmp_path / "out/epochs/train")).counts
    assert (counts.read, counts.kept) == (len(records), len(bad))
    assert counts.rejected == Counter(reason for _, reason in expected)
    for reason, number in counts.rejected.items():
        assert f"rejected: {number} {reason}" in ended.err
    seqmill.succeeds("verify", tmp_path / "out")

    strict = seqmill("ingest", config, "--max_rejected=0.49")
    assert strict.code == 1
    strict.names(f"corpus train: {len(bad)} of {len(records)} sequences rejected (50.00%)", "49.00%")
    strict.names(
        expected[0][1], '"source":"a.jsonl"', '"position":2', "out/store/train/rejected/ingest.jsonl"
    )
    assert not (tmp_path / "out/store/train/manifest.json").exists()
    assert rejects(tmp_path / "out") == listed


def test_nan_in_floats_of_a_parquet_file(tmp_path, seqmill):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [[1.0, 2.0], [float("nan")], [3.0]]}), tmp_path / "a.parquet")
    corpora = {"train": {"format": "parquet", "files": ["a.parquet"]}}
    seqmill.succeeds("preprocess", write_config(tmp_path, FLOATS, corpora, max_rejected=0.5))
    (listed,) = rejects(tmp_path / "out")
    assert (listed["position"], listed["reason"], listed["detail"]) == (2, "x: not finite", "frame 0 is NaN")


def test_rejects_of_a_file_that_many_workers_read_have_the_lines_of_the_whole_file(
    tmp_path, seqmill, monkeypatch
):
    monkeypatch.setattr("seqmill.transforms.store.corpus_splits.SPLIT_BYTES", 500)
    records = [{"x": [i]} for i in range(300)]
    records[7], records[123], records[255], records[256] = "nonsense", {}, {"x": []}, "{"
    config = write_config(tmp_path, INTS, jsonl_corpus(tmp_path, records), max_rejected=0.5)
    seqmill.succeeds("ingest", config)
    assert len(list((tmp_path / "out/store/train").glob("sequences-*"))) > 5
    assert [listed["position"] for listed in rejects(tmp_path / "out")] == [8, 124, 256, 257]


def test_id_outside_a_given_vocabulary(tmp_path, seqmill):
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    corpora = jsonl_corpus(tmp_path, [{"x": [0, 2]}, {"x": [3]}, {"x": [-1]}])
    config = write_config(tmp_path, {"x": {"type": "ints", "vocab": "labels.txt"}}, corpora, max_rejected=0.9)
    seqmill.succeeds("preprocess", config)
    listed = rejects(tmp_path / "out")
    assert [reject["position"] for reject in listed] == [2, 3]
    assert {reject["reason"] for reject in listed} == {"x: label outside the vocabulary"}
    assert "the vocabulary has 3 labels" in listed[0]["detail"]


def test_words_outside_a_given_vocabulary_without_unk(tmp_path, seqmill):
    (tmp_path / "labels.txt").write_text("a\nb\n")
    corpora = jsonl_corpus(tmp_path, [{"x": "a b"}, {"x": "a z"}])
    config = write_config(
        tmp_path, {"x": {"type": "words", "vocab": "labels.txt"}}, corpora, max_rejected=0.5
    )
    seqmill.succeeds("preprocess", config)
    (listed,) = rejects(tmp_path / "out")
    assert (listed["position"], listed["reason"]) == (2, "x: label not in the vocabulary")
    assert listed["detail"] == "'z'"


# Whole files.


def test_missing_files_and_patterns_without_a_match_are_all_named(tmp_path, seqmill):
    corpora = {
        "train": {"format": "jsonl", "files": ["gone.jsonl", "no-*.jsonl", "empty", "link", "pipe"]},
        "kaldi": {"format": "kaldi", "files": ["empty"]},
        "dev": {"format": "jsonl", "files": ["missing/dev.jsonl"]},
    }
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("link")
    os.mkfifo(tmp_path / "pipe")
    ended = seqmill("preprocess", write_config(tmp_path, INTS, corpora))
    assert ended.code == 2
    ended.names(
        f"corpus.train.files: {tmp_path}/empty: a folder; format jsonl expects files",
        f"corpus.kaldi.files: {tmp_path}/empty: a folder without anything of format kaldi; expected",
        f"corpus.train.files: {tmp_path}/gone.jsonl: no such file",
        f"corpus.train.files: {tmp_path}/link: a link that leads nowhere",
        f"corpus.train.files: {tmp_path}/pipe: no regular file",
        f"corpus.train.files: {tmp_path}/no-*.jsonl: no file matches",
        f"corpus.dev.files: {tmp_path}/missing/dev.jsonl: no such file",
    )
    assert_nothing_complete(tmp_path)


def test_missing_vocabulary_tokenizer_and_configuration(tmp_path, seqmill):
    corpora = jsonl_corpus(tmp_path, [{"x": "a"}])
    for option, text, key_type in (("vocab", "vocabulary", "words"), ("tokenizer", "tokenizer", "subwords")):
        config = write_config(tmp_path, {"x": {"type": key_type, option: "none.txt"}}, corpora)
        seqmill("preprocess", config).names(f"{text} {tmp_path}/none.txt: no such file")
    ended = seqmill("preprocess", tmp_path / "none.toml")
    assert ended.code == 2
    ended.names(f"{tmp_path}/none.toml: no such configuration file")
    assert_nothing_complete(tmp_path)


@pytest.mark.parametrize(("format", "content"), [("jsonl", b""), ("jsonl", b"\n\n"), ("csv", b"x\n")])
def test_file_without_any_sequence(tmp_path, seqmill, format, content):
    (tmp_path / "a").write_bytes(content)
    ended = seqmill("preprocess", write_config(tmp_path, INTS, {"train": {"format": format, "files": ["a"]}}))
    assert ended.code == 1
    ended.names("corpus train: no sequences in its files")
    assert_nothing_complete(tmp_path)


def test_truncated_gz_fails_the_run_unless_damaged_sources_are_allowed(tmp_path, seqmill):
    rng = np.random.default_rng(0)
    lines = b"".join(b'{"x": %s}\n' % str(rng.integers(0, 999, 9).tolist()).encode() for _ in range(2000))
    whole = gzip.compress(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl.gz"]}}
    config = write_config(tmp_path, INTS, corpora, batch_size=1000)
    ended = seqmill("preprocess", config)
    assert ended.code == 1
    ended.names("damaged sources", "allow_damaged", "a.jsonl.gz: cut short")
    assert_nothing_complete(tmp_path)

    ended = seqmill.succeeds("preprocess", config, "--allow_damaged=true")
    assert "damaged: a.jsonl.gz: cut short" in ended.err
    store = read_store_manifest(str(tmp_path / "out/store/train"))
    assert [entry.source for entry in store.damaged] == ["a.jsonl.gz"]
    assert 500 < store.counts.kept < 1500
    assert store.counts.read == store.counts.kept

    (tmp_path / "a.jsonl.gz").write_bytes(whole[:5])
    ended = seqmill("preprocess", config)
    assert ended.code == 1
    ended.names("a.jsonl.gz: cut short")
    assert not (tmp_path / "out/store/train/manifest.json").exists()


def test_equal_tags_are_counted(tmp_path, seqmill):
    write_jsonl(tmp_path / "a.jsonl", [{"x": [1], "tag": tag} for tag in "aba"])
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}
    ended = seqmill.succeeds("preprocess", write_config(tmp_path, INTS, corpora, seq_tag="tag"))
    assert "1 sequence has the tag of another one" in ended.err
    assert manifest.read(str(tmp_path / "out/epochs/train")).counts.duplicate_tags == 1


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_parallel_text_files_of_different_lengths(tmp_path, seqmill, suffix):
    pack = gzip.compress if suffix else bytes
    (tmp_path / f"x.txt{suffix}").write_bytes(pack(b"1\n2\n3\n"))
    (tmp_path / f"y.txt{suffix}").write_bytes(pack(b"a\nb\n"))
    corpora = {"train": {"format": "text", "files": {"x": f"x.txt{suffix}", "y": [f"y.txt{suffix}"]}}}
    config = write_config(tmp_path, {"x": {"type": "ints"}, "y": {"type": "bytes"}}, corpora)
    ended = seqmill("preprocess", config)
    assert ended.code == 1
    ended.names(f"x.txt{suffix} has 3 lines", f"y.txt{suffix} has 2 lines")
    assert_nothing_complete(tmp_path)


def test_different_numbers_of_parallel_files(tmp_path, seqmill):
    for name in ("x1", "x2", "y1"):
        (tmp_path / name).write_text("1\n")
    corpora = {"train": {"format": "text", "files": {"x": ["x*"], "y": ["y*"]}}}
    ended = seqmill(
        "preprocess", write_config(tmp_path, {"x": {"type": "ints"}, "y": {"type": "ints"}}, corpora)
    )
    assert ended.code == 2
    ended.names("corpus.train.files: expected as many files for every key, found 2 for x, 1 for y")


@pytest.mark.parametrize("format", ["parquet", "tfrecord", "csv"])
def test_file_of_another_format(tmp_path, seqmill, format):
    (tmp_path / "a").write_bytes(b'{"x": [1]}\n' * 100)
    corpora = {"train": {"format": format, "files": ["a"]}}
    ended = seqmill("preprocess", write_config(tmp_path, INTS, corpora))
    assert ended.code == 1
    ended.names("a: " if format == "tfrecord" else f"{tmp_path}/a: ")
    assert_nothing_complete(tmp_path)


# Audio.


def wav(samples, rate=16000):
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def test_bad_audio_is_rejected_and_other_rates_and_channels_are_converted(tmp_path, seqmill):
    tone = np.sin(np.arange(8000) / 10) / 2
    sounds = {
        "good": wav(tone),
        "empty": wav(tone[:0]),
        "cut": wav(tone)[:-100],
        "8k": wav(tone, 8000),
        "stereo": wav(np.stack([tone, -tone], 1)),
        "noise": b"no sound at all",
    }
    for name, content in sounds.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
    corpora = jsonl_corpus(tmp_path, [{"x": f"{name}.wav"} for name in (*sounds, "gone")])
    config = write_config(tmp_path, {"x": {"type": "log_mel"}}, corpora, max_rejected=0.8, batch_size=1000)
    ended = seqmill.succeeds("preprocess", config, "--direct_running_mode=in_memory")
    assert [(reject["position"], reject["reason"]) for reject in rejects(tmp_path / "out")] == [
        (2, "x: no samples"),
        (3, "x: audio cut short"),
        (6, "x: not readable audio"),
        (7, "x: missing audio file"),
    ]
    counts = manifest.read(str(tmp_path / "out/epochs/train")).counts
    cancelled = "channels that cancel each other averaged"
    assert counts.converted == {"resampled": 1, "channels averaged": 1, cancelled: 1}
    assert f"1 resampled, 1 channels averaged, 1 {cancelled}" in ended.err
    seqmill.succeeds("verify", tmp_path / "out")


def test_paths_that_are_no_sound_files_are_rejected_and_a_rerun_is_up_to_date(tmp_path, seqmill):
    (tmp_path / "good.wav").write_bytes(wav(np.zeros(800)))
    os.mkfifo(tmp_path / "pipe")
    bad = ["pipe", "/dev/zero", "file:///dev/zero", "local:///dev/zero", "simplecache::file:///dev/zero"]
    bad += ["", "a\0b", "https://example.invalid/a.wav", "what://x"]
    corpora = jsonl_corpus(tmp_path, [{"x": path} for path in ("good.wav", *bad)])
    config = write_config(tmp_path, {"x": {"type": "audio"}}, corpora, max_rejected=0.9)
    seqmill.succeeds("preprocess", config)
    assert [reject["position"] for reject in rejects(tmp_path / "out")] == list(range(2, 2 + len(bad)))
    assert "ingest train: up to date" in seqmill.succeeds("preprocess", config).err


# Vocabularies.


def test_unknown_labels_are_reported(tmp_path, seqmill):
    (tmp_path / "v.txt").write_bytes(b"\xef\xbb\xbf<pad>\r\n<unk>\r\nthe\r\ncat\r\n")
    corpora = jsonl_corpus(tmp_path, [{"x": "the cat sat"}, {"x": "the dog"}, {"x": 7}])
    data = {"x": {"type": "words", "vocab": "v.txt"}}
    ended = seqmill.succeeds("preprocess", write_config(tmp_path, data, corpora, max_rejected=0.5))
    assert "warning: x: 2 labels (40.00%) are not in its vocabulary" in ended.err
    assert manifest.read(str(tmp_path / "out/epochs/train")).counts.unknown == {"x": 2}
    (tmp_path / "v.txt").write_bytes(b"<pad>\n<unk>\nthe\tcat\n")
    ended = seqmill("preprocess", write_config(tmp_path, data, corpora))
    assert ended.code == 1
    ended.names("v.txt, line 3: label 'the\\tcat' holds white space")


# What only the whole corpus shows.


def test_all_sequences_dropped(tmp_path, seqmill):
    config = write_config(tmp_path, INTS, jsonl_corpus(tmp_path, [{"x": [1, 2]}] * 3), max_seq_length=1)
    for command in ("plan", "preprocess"):
        ended = seqmill(command, config)
        assert ended.code == 1
        ended.names("corpus train: no sequence is left of 3 (max_seq_length:x: 3)")
    assert not list((tmp_path / "out/epochs").rglob("manifest.json"))


def test_more_parts_than_sequences(tmp_path, seqmill):
    config = write_config(
        tmp_path, INTS, jsonl_corpus(tmp_path, [{"x": [1]}] * 2), partition_epoch=3, num_epochs=3
    )
    ended = seqmill("preprocess", config)
    assert ended.code == 1
    ended.names("epoch 3 is empty", "partition_epoch = 3", "2 sequences")
    assert not list((tmp_path / "out/epochs").rglob("manifest.json"))


def test_different_numbers_of_chunks(tmp_path, seqmill):
    records = [{"x": [1] * 10, "y": [1] * 10}, {"x": [1] * 10, "y": [1] * 3}, {"x": [2] * 4, "y": [2] * 4}]
    data = {"x": {"type": "ints"}, "y": {"type": "ints"}}
    config = write_config(tmp_path, data, jsonl_corpus(tmp_path, records), chunking="4:2", max_rejected=0.5)
    seqmill.succeeds("preprocess", config)
    (listed,) = rejects(tmp_path / "out", stage="epochs")
    assert listed["reason"] == "numbers of chunks differ"
    assert (listed["position"], listed["source"]) == (2, "a.jsonl")
    assert listed["seq_tag"] == "a.jsonl:2"
    assert "x has 10 frames, y has 3 frames" in listed["detail"]
    counts = manifest.read(str(tmp_path / "out/epochs/train")).counts
    assert (counts.read, counts.kept, counts.rejected) == (3, 2, {"numbers of chunks differ": 1})
    seqmill.succeeds("verify", tmp_path / "out")

    ended = seqmill("preprocess", config, "--max_rejected=0.1")
    assert ended.code == 1
    ended.names("corpus train: 1 of 3 sequences rejected", "numbers of chunks differ", "a.jsonl:2")
    assert not (tmp_path / "out/epochs/train/manifest.json").exists()


def test_output_of_another_corpus(tmp_path, seqmill):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    config = write_config(
        one, INTS, jsonl_corpus(one, [{"x": [1]}], "one.jsonl"), output=str(tmp_path / "out")
    )
    seqmill.succeeds("preprocess", config)
    before = (tmp_path / "out/store/train/manifest.json").read_bytes()
    config = write_config(
        other, INTS, jsonl_corpus(other, [{"x": [2]}], "other.jsonl"), output=str(tmp_path / "out")
    )
    for command in ("ingest", "plan", "preprocess"):
        ended = seqmill(command, config)
        assert ended.code == 2
        ended.names(f"output {tmp_path}/out holds another corpus", "one.jsonl", "other.jsonl")
    assert (tmp_path / "out/store/train/manifest.json").read_bytes() == before
    seqmill.succeeds("verify", tmp_path / "out")


# Options.


def test_unknown_options_are_answered_with_what_is_near(tmp_path, seqmill):
    corpora = jsonl_corpus(tmp_path, [{"x": [1]}])
    ended = seqmill("plan", write_config(tmp_path, INTS, corpora, btach_size=3))
    assert ended.code == 2
    ended.names("config.toml", "btach_size: unknown option; did you mean batch_size?")
    config = write_config(tmp_path, INTS, corpora)
    for flag, near in (
        ("--btach_size=3", "--batch_size"),
        ("--runer=x", "--runner"),
        ("--max-seqs=3", "--max_seqs"),
    ):
        ended = seqmill("preprocess", config, flag)
        assert ended.code == 2
        ended.names(f"{flag.partition('=')[0]}: unknown option; did you mean {near}?")
    assert not (tmp_path / "out").exists()


def test_all_mistakes_of_a_configuration_are_reported_together(tmp_path, seqmill):
    data = {"x": {"type": "int"}, "y": {"type": "chars", "voacb": "f"}, "z": {"type": "ints", "bos": True}}
    corpora = {
        "train": {"format": "json", "files": 3},
        "dev": {"format": "jsonl", "files": [], "batchsize": 3},
    }
    options = {"max_seqs": "20", "seq_ordering": "lapalce:2", "chunking": "9:x", "length_key": "w"}
    ended = seqmill("plan", write_config(tmp_path, data, corpora, **options), "--num_epochs=ten")
    assert ended.code == 2
    ended.names(
        "max_seqs: found '20'",
        "seq_ordering: found 'lapalce:2'",
        "chunking: found '9:x'",
        "--num_epochs: found 'ten'",
        "data.x.type: found 'int'; expected one of ints",
        "data.y.voacb: unknown option; did you mean vocab?",
        "data.z: bos is an option of type chars",
        "corpus.train.format: found 'json'; expected one of jsonl",
        "corpus.train.files: found 3; expected a list",
        "corpus.dev.files: found []; expected at least one file",
        "corpus.dev.batchsize: unknown option; did you mean batch_size?",
    )
    assert not (tmp_path / "out").exists()


def test_the_real_command_ends_with_the_same_codes_and_no_traceback(tmp_path):
    config = write_config(tmp_path, INTS, jsonl_corpus(tmp_path, ["no JSON"]))
    command = [sys.executable, "-m", "seqmill.pipelines.main"]
    ended = subprocess.run([*command, "preprocess", config], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "corpus train: 1 of 1 sequences rejected" in ended.stderr
    wrong = subprocess.run([*command, "preprocess", config, "--max_seq=3"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "did you mean --max_seqs?" in wrong.stderr
    assert "Traceback" not in ended.stderr + wrong.stderr


# Storage.


def test_no_space_for_the_store(tmp_path, seqmill, new_disk):
    small_disk = new_disk("1m")
    corpora = jsonl_corpus(tmp_path, [{"x": list(range(1000))}] * 500)
    config = write_config(tmp_path, INTS, corpora, output=str(small_disk / "out"), batch_size=5000)
    ended = seqmill("preprocess", config)
    assert ended.code == 1
    ended.names(str(small_disk / "out/store/train"), "No space left on device")
    assert not list(small_disk.rglob("manifest.json"))
    assert not list(small_disk.rglob(".tmp-*"))


def test_no_space_for_the_epochs_is_noticed_before_they_are_written(tmp_path, seqmill, new_disk):
    small_disk = new_disk("1m")
    corpora = jsonl_corpus(tmp_path, [{"x": list(range(1000))}] * 50)
    config = write_config(tmp_path, INTS, corpora, output=str(small_disk / "out"), batch_size=5000)
    ended = seqmill("preprocess", config, "--num_epochs=20", "--seq_ordering=random")
    assert ended.code == 1
    ended.names(f"{small_disk}/out/epochs: no space", "bytes are to be written")
    assert not list((small_disk / "out/epochs").rglob("manifest.json"))
    seqmill.succeeds("preprocess", config, "--num_epochs=2", "--seq_ordering=random")
    seqmill.succeeds("verify", small_disk / "out")


def test_no_space_while_the_epochs_are_written(tmp_path, seqmill, new_disk, monkeypatch):
    small_disk = new_disk("1m")
    monkeypatch.setattr("seqmill.pipelines.preprocess.check_space", lambda folder, needed: None)
    corpora = jsonl_corpus(tmp_path, [{"x": list(range(1000))}] * 50)
    config = write_config(tmp_path, INTS, corpora, output=str(small_disk / "out"), batch_size=5000)
    ended = seqmill("preprocess", config, "--num_epochs=20", "--seq_ordering=random")
    assert ended.code == 1
    ended.names(str(small_disk / "out/epochs/train"), "No space left on device")
    assert not list(small_disk.rglob(".tmp-*"))
    assert " of 20 (still to come: " in seqmill.succeeds("verify", small_disk / "out").err


def test_output_that_is_a_file(tmp_path, seqmill):
    (tmp_path / "out").write_text("a file")
    ended = seqmill("preprocess", write_config(tmp_path, INTS, jsonl_corpus(tmp_path, [{"x": [1]}])))
    assert ended.code == 1
    ended.names(f"{tmp_path}/out")


def test_output_on_an_unknown_kind_of_storage(tmp_path, seqmill):
    config = write_config(tmp_path, INTS, jsonl_corpus(tmp_path, [{"x": [1]}]), output="nosuch://bucket/out")
    seqmill("preprocess", config).names("nosuch://bucket/out", "cannot open nosuch:// paths")
