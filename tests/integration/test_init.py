"""What ``seqmill init`` writes for each kind of corpus runs as it stands."""

import io
import json
import os
import shutil
import tarfile
import tomllib
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import tensorflow as tf
from other_tools import PHONES, RATE, UTTERANCES
from seqmill_runs import write_jsonl

WRITTEN = Path(__file__).with_name("written")
SPEECH = {"data": "log_mel", "classes": "chars"}
NUMBERS = {"data": "floats", "classes": "ints"}


def sound(path, samples=1600):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(samples).integers(-9000, 9000, samples).astype("i2")
    soundfile.write(path, values, RATE, format=path.suffix[1:].upper(), subtype="PCM_16")


def nemo_manifest(folder):
    sound(folder / "all.wav", 8000)
    rows = [
        {"audio_filepath": "all.wav", "duration": 0.1, "offset": n / 10, "text": text}
        for n, text in enumerate(("one", "two three", "four"))
    ]
    write_jsonl(folder / "train_manifest.json", rows)
    write_jsonl(folder / "dev_manifest.json.gz", rows)
    return SPEECH


def numbers_in_jsonl(folder):
    rows = [
        {"utt_id": u.tag, "feats": u.features.tolist(), "ali": u.phones.tolist(), "speaker": "a"}
        for u in UTTERANCES
    ]
    write_jsonl(folder / "train.jsonl", rows)
    return NUMBERS


def common_voice(folder):
    for name in ("a", "b"):
        sound(folder / f"clips/{name}.flac")
    head = "client_id\tpath\tsentence\tup_votes\tage\n"
    for name in ("train", "dev", "validated"):
        (folder / f"{name}.tsv").write_text(
            f'{head}x\ta.flac\t"say ""a"""\t2\t\ny\tb.flac\tbe\t1\ttwenties\n'
        )
    (folder / "clip_durations.tsv").write_text("clip\tduration[ms]\na.flac\t100\n")
    return SPEECH


def table_of_labels(folder):
    rows = "".join(
        f"r{n},{text},{n % 2}\n" for n, text in enumerate(("good one", "bad, bad", "so", "no way"))
    )
    (folder / "reviews.csv").write_text("id,text,label\n" + rows.replace("bad, bad", '"bad, bad"'))
    return {"data": "chars", "classes": "ints"}


def parquet_of_datasets(folder):
    shutil.copy(WRITTEN / "datasets.parquet", folder / "train-00000-of-00001.parquet")
    return NUMBERS


def pairs_in_parquet(folder):
    pairs = [{"en": "a house", "de": "ein Haus"}, {"en": "the house", "de": "das Haus"}]
    pq.write_table(pa.table({"translation": pairs, "id": ["1", "2"]}), folder / "train.parquet")
    return {"data": "chars", "classes": "chars"}


def saved_to_disk(folder):
    shutil.copytree(WRITTEN / "save_to_disk", folder / "my_data/train")
    (folder / "my_data/dataset_dict.json").write_text('{"splits": ["train"]}')
    return NUMBERS


def librispeech(folder):
    for corpus in ("train-clean-100", "dev-clean"):
        place = folder / f"LibriSpeech/{corpus}/19/198"
        for number in range(2):
            sound(place / f"19-198-000{number}.flac")
        (place / "19-198.trans.txt").write_text(
            "19-198-0000 NORTHANGER ABBEY\n19-198-0001 THIS LITTLE WORK\n"
        )
    return SPEECH


def prompts(folder):
    for name in ("a", "b", "digits/1", "beep"):
        sound(folder / f"sounds/{name}.wav")
    (folder / "sounds.txt").write_text("; Prompts\n\na: Say a.\nb: Say b.\ndigits/1: One.\nbeep: [a beep]\n")
    return SPEECH


def texts_beside(folder):
    for n in range(12):
        sound(folder / f"rec {n}.wav")
        (folder / f"rec {n}.txt").write_text(f"sentence number {n}\n")
    return SPEECH


def folders_as_labels(folder):
    for word in ("yes", "no"):
        for n in range(3):
            sound(folder / f"{word}/{n}.ogg.wav")
    return {"data": "log_mel", "classes": "words"}


def recordings_alone(folder):
    sound(folder / "a.wav")
    return {"data": "log_mel"}


def kaldi_folders(folder):
    for corpus in ("train", "dev"):
        place = folder / f"data/{corpus}"
        sound(folder / f"wav/{corpus}.wav")
        place.mkdir(parents=True)
        (place / "wav.scp").write_text(f"utt-{corpus} wav/{corpus}.wav\n")
        (place / "text").write_text(f"utt-{corpus} say it\n")
        (place / "utt2spk").write_text(f"utt-{corpus} me\n")
    return SPEECH


def arrays_of_numpy(folder):
    for u in UTTERANCES:
        np.save(folder / f"{u.tag}.npy", u.features)
    (folder / "text.tsv").write_text("".join(f"{u.tag}\t{u.text}\n" for u in UTTERANCES))
    return {"data": "floats", "classes": "chars"}


def returnn_hdf(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "train.hdf", "w") as file:
        file["inputs"] = np.concatenate([u.features for u in UTTERANCES])
        lengths = [len(u.features) for u in UTTERANCES]
        file["seqLengths"] = np.array([[n, n] for n in lengths], "i4")
        file["seqTags"] = [u.tag.encode() for u in UTTERANCES]
        file["targets/data/classes"] = np.concatenate([u.phones for u in UTTERANCES])
        file["targets/size"] = 0
        file["targets/size"].attrs["classes"] = [len(PHONES), 1]
        file.attrs.update({"numTimesteps": sum(lengths), "numSeqs": len(lengths), "inputPattSize": 3})
        file.attrs["numLabels"] = len(PHONES)
    return NUMBERS


def returnn_ogg_zip(folder):
    entries = [{"text": u.text, "duration": 0.1, "file": f"{u.tag}.flac"} for u in UTTERANCES]
    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        archive.writestr("train.txt", repr(entries))
        for u in UTTERANCES:
            archive.writestr(f"train/{u.tag}.flac", u.flac())
    return SPEECH


def shards_of_webdataset(folder):
    with tarfile.open(folder / "train-000.tar.gz", "w:gz") as archive:
        for u in UTTERANCES:
            for name, content in (("flac", u.flac()), ("json", json.dumps({"text": u.text}).encode())):
                member = tarfile.TarInfo(f"{u.tag}.{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return SPEECH


def cuts_of_lhotse(folder):
    samples = np.concatenate([u.samples for u in UTTERANCES])
    soundfile.write(folder / "recording.flac", samples, RATE, subtype="PCM_16")
    shutil.copy(WRITTEN / "cuts.jsonl.gz", folder)
    return SPEECH


def test_cuts_of_a_recording_are_as_long_as_they_say(tmp_path, seqmill):
    cuts_of_lhotse(tmp_path)
    config = tmp_path / "config.toml"
    seqmill.succeeds("init", tmp_path, f"--output={config}")
    longest = 1 + (max(len(u.samples) for u in UTTERANCES) - RATE // 40) // (RATE // 100)
    assert f"the longest {longest}" in config.read_text().splitlines()[3]


def test_what_will_be_rejected_is_said(tmp_path, seqmill):
    rows = [{"x": [n], "text": "" if n % 20 == 0 else f"a {n}"} for n in range(40)]
    lines = [json.dumps(row if n % 20 != 1 else {"text": row["text"]}) for n, row in enumerate(rows)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    ended = seqmill.succeeds("init", tmp_path, f"--output={tmp_path}/config.toml")
    assert "2 of the first 40 records have no x: they will be rejected" in ended.out
    assert "2 of the 40 values of text that were tried will be rejected" in ended.out


def tfrecord_of_examples(folder):
    with tf.io.TFRecordWriter(str(folder / "train.tfrecord")) as writer:
        for u in UTTERANCES:
            example = tf.train.Example()
            example.features.feature["text"].bytes_list.value.append(u.text.encode())
            example.features.feature["phones"].int64_list.value.extend(u.phones.tolist())
            writer.write(example.SerializeToString())
    return {"data": "chars", "classes": "ints"}


def tfrecord_of_sequence_examples(folder):
    with tf.io.TFRecordWriter(str(folder / "train.tfrecord.gz"), options="GZIP") as writer:
        for u in UTTERANCES:
            example = tf.train.SequenceExample()
            example.context.feature["text"].bytes_list.value.append(u.text.encode())
            for row in u.features:
                step = example.feature_lists.feature_list["features"].feature.add()
                step.float_list.value.extend(row.tolist())
            writer.write(example.SerializeToString())
    return {"data": "floats", "classes": "chars"}


def parallel_text(folder):
    for name, lines in (("train", ("ein Haus", "das Haus")), ("valid", ("Haus",))):
        (folder / f"{name}.de").write_text("\n".join(lines) + "\n")
        (folder / f"{name}.en").write_text("\n".join("a house" for _ in lines) + "\n")
    return {"data": "chars", "classes": "chars"}


def text_alone(folder):
    for number in range(2):
        (folder / f"chapter-{number}.txt").write_text("It was a dark night.\nIt was not.\n")
    return {"data": "chars"}


KINDS = (
    nemo_manifest,
    numbers_in_jsonl,
    common_voice,
    table_of_labels,
    parquet_of_datasets,
    pairs_in_parquet,
    saved_to_disk,
    librispeech,
    prompts,
    texts_beside,
    folders_as_labels,
    recordings_alone,
    kaldi_folders,
    arrays_of_numpy,
    returnn_hdf,
    returnn_ogg_zip,
    shards_of_webdataset,
    cuts_of_lhotse,
    tfrecord_of_examples,
    tfrecord_of_sequence_examples,
    parallel_text,
    text_alone,
)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_what_it_writes_runs(tmp_path, seqmill, make):
    (tmp_path / "in").mkdir()
    types = make(tmp_path / "in")
    config = tmp_path / "new/config.toml"
    seqmill.succeeds("init", tmp_path / "in", f"--output={config}")
    content = tomllib.loads(config.read_text())
    assert {name: key["type"] for name, key in content["data"].items()} == types
    assert content["data"]["data"].get("sample_rate", RATE) == RATE
    seqmill.succeeds("plan", config, "--direct_running_mode=in_memory")
    for corpus in content["corpus"]:
        counts = json.loads((tmp_path / f"new/work/store/{corpus}/manifest.json").read_text())["counts"]
        assert counts["kept"] == counts["read"] > 0


def test_a_corpus_without_the_fields_of_train_is_left_out(tmp_path, seqmill):
    write_jsonl(
        tmp_path / "train.jsonl", [{"source": "a b", "target": "c d"}, {"source": "b", "target": "e"}]
    )
    write_jsonl(tmp_path / "test.jsonl", [{"source": "a b"}])
    ended = seqmill.succeeds("init", tmp_path, f"--output={tmp_path}/config.toml")
    assert "test.jsonl: no field target, which train has" in ended.out
    assert [*tomllib.loads((tmp_path / "config.toml").read_text())["corpus"]] == ["train"]


def test_nothing_is_overwritten_without_force(tmp_path, seqmill):
    texts_beside(tmp_path)
    config = tmp_path / "config.toml"
    seqmill.succeeds("init", tmp_path, f"--output={config}")
    written = {path: path.read_bytes() for path in tmp_path.glob("config.*")}
    assert {path.name for path in written} == {"config.toml", "config.train.jsonl", "config.dev.jsonl"}
    seqmill("init", tmp_path, f"--output={config}").names("config.toml: is there already; --force overwrites")
    config.unlink()
    seqmill("init", tmp_path, f"--output={config}").names("config.train.jsonl: is there already")
    assert not config.exists()
    seqmill.succeeds("init", tmp_path, f"--output={config}", "--force")  # its own files are no sources
    assert {path: path.read_bytes() for path in tmp_path.glob("config.*")} == written


def test_each_configuration_in_a_folder_has_an_output_of_its_own(tmp_path, seqmill):
    write_jsonl(tmp_path / "words.jsonl", [{"word": "a b"}, {"word": "b c"}])
    (tmp_path / "work-mine").mkdir()
    write_jsonl(tmp_path / "work-mine/numbers.jsonl", [{"numbers": [1, 2, 3]}])
    outputs = {}
    for name, source in (("config", "words.jsonl"), ("numbers", "work-mine")):
        config = tmp_path / f"{name}.toml"
        seqmill.succeeds("init", tmp_path / source, f"--output={config}")
        outputs[name] = tomllib.loads(config.read_text())["output"]
        seqmill.succeeds("preprocess", config, "--num_epochs=1")
    assert outputs == {"config": "work", "numbers": "work-numbers"}
    for name in ("config", "numbers"):
        assert "up to date" in seqmill.succeeds("preprocess", tmp_path / f"{name}.toml", "--num_epochs=1").err
    (tmp_path / "work/predictions").mkdir()
    write_jsonl(tmp_path / "work/predictions/train.jsonl", [{"seq_tag": "a", "prediction": "b"}])
    for written in outputs.values():
        none = seqmill("init", tmp_path / written, f"--output={tmp_path}/third.toml")
        none.names("nothing here is a corpus")


def test_what_is_no_corpus_is_said(tmp_path, seqmill):
    (tmp_path / "notes.md").write_text("no data")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\0\xff")
    ended = seqmill("init", tmp_path, f"--output={tmp_path}/config.toml")
    ended.names("nothing here is a corpus (left out: ", "; looked for JSON lines")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    seqmill("init", tmp_path / "nowhere").names("nowhere: no such file or folder")
    seqmill("init", "").names("found an empty path")
    assert [path.name for path in tmp_path.glob("config*")] == []


def test_what_cannot_be_read_is_passed_over(tmp_path, seqmill):
    text_alone(tmp_path)
    os.mkfifo(tmp_path / "x.trans.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment/pyvenv.cfg").touch()
    (tmp_path / "b.jsonl.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and nothing")
    (tmp_path / "c.zip").write_bytes(b"PK\3\4")
    ended = seqmill.succeeds("init", tmp_path, f"--output={tmp_path}/config.toml")
    for name in (
        "x.trans.txt: no regular file",
        "environment: an environment",
        "b.jsonl.gz",
        "c.zip",
        "c.parquet",
    ):
        assert name in ended.out


def test_names_and_values_of_others_are_text(tmp_path, seqmill):
    name = '"] evil = 1 # \x1b[31m\u202e\\'
    folder = tmp_path / name
    folder.mkdir()
    rows = [{name: f"text {n} \x07", "\nlabel = 1\n": n % 2, "k\x9b": f"{n}"} for n in range(4)]
    write_jsonl(folder / "train\x1b.jsonl", rows)
    config = tmp_path / "config.toml"
    ended = seqmill.succeeds("init", folder, f"--output={config}")
    for text in (ended.out, ended.err, config.read_text()):
        assert all(character.isprintable() or character == "\n" for character in text)
    content = tomllib.loads(config.read_text())
    assert content["data"]["data"]["field"] == name
    assert content["corpus"]["train"]["files"] == [f"{name}/train\x1b.jsonl"]
    assert content["corpus"]["train"]["seq_tag"] == "k\x9b"
    seqmill.succeeds("plan", config, "--direct_running_mode=in_memory")


def speech(folder):
    for n in range(12):
        sound(folder / f"{n}.wav", 16000 + 100 * n)
    (folder / "said.txt").write_text("".join(f"{n}: Number {n}!\n" for n in range(12)))
    return "ctc"


def words_of_recordings(folder):
    folders_as_labels(folder)
    return "one_label"


def phones_of_frames(folder):
    rows = [{"feats": u.features.tolist(), "phones": [PHONES[p] for p in u.phones]} for u in UTTERANCES]
    write_jsonl(folder / "train.jsonl", rows)
    return "frame_labels"


def translations(folder):
    parallel_text(folder)
    return "seq2seq"


def stories(folder):
    text_alone(folder)
    return "next_label"


@pytest.mark.long  # docs/tutorial.md, which a test follows, trains one of them
@pytest.mark.parametrize(
    "make",
    [speech, words_of_recordings, phones_of_frames, translations, stories],
    ids=lambda make: make.__name__,
)
def test_a_starter_model_trains(tmp_path, seqmill, make):
    (tmp_path / "in").mkdir()
    starter = make(tmp_path / "in")
    config = tmp_path / "config.toml"
    seqmill.succeeds("init", tmp_path / "in", f"--output={config}", "--model")
    sources = resources.files("seqmill.pipelines.init.starters")
    assert (tmp_path / "model.py").read_text() == sources.joinpath(f"{starter}.py").read_text()
    flags = ("--num_epochs=1", "--distinct_epochs=none", "--direct_running_mode=in_memory")
    seqmill.succeeds("run", config, *flags)
    scores = json.loads((tmp_path / "work/model/scores.json").read_text())["epochs"]
    assert len(scores) == 1
    if starter != "next_label":
        seqmill.succeeds("predict", config, "--corpus=train", "--checkpoint=last", *flags[:2])
        lines = (tmp_path / "work/predictions/train.jsonl").read_text().splitlines()
        assert lines


def test_a_model_file_is_never_overwritten(tmp_path, seqmill):
    text_alone(tmp_path)
    (tmp_path / "model.py").write_text("mine")
    ended = seqmill.succeeds("init", tmp_path, f"--output={tmp_path}/config.toml", "--model", "--force")
    assert "model.py is there already and is kept, though it is not the starter model for this" in ended.out
    assert (tmp_path / "model.py").read_text() == "mine"
