"""Corpora that other tools wrote: the same epochs as from JSON lines, value by value.

The files in ``written/`` come from datasets 5.2.0, webdataset 1.0.2 and lhotse 1.33.0, of ``UTTERANCES``.
"""

import gzip
import shutil
from pathlib import Path

import numpy as np
import soundfile
import tensorflow as tf
from other_tools import (
    NUMBERS,
    PHONES,
    RATE,
    SPEECH,
    UTTERANCES,
    epochs_of,
    jsonl_of_numbers,
    jsonl_of_speech,
    manifest_of,
)

from seqmill.transforms.features.vocab import read_vocab

WRITTEN = Path(__file__).with_name("written")


def test_hugging_face_data_sets(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, NUMBERS, jsonl_of_numbers(tmp_path))
    shutil.copytree(WRITTEN, tmp_path / "in")
    for number, corpus in enumerate(
        (
            {"format": "arrow", "files": ["in/save_to_disk"], "seq_tag": "id"},
            {"format": "arrow", "files": ["in/save_to_disk/*.arrow"], "seq_tag": "id"},
            {"format": "parquet", "files": ["in/datasets.parquet"], "seq_tag": "id"},
        ),
        start=1,
    ):
        assert epochs_of(seqmill, tmp_path, NUMBERS, corpus) == expected
        assert manifest_of(tmp_path, number)["data_keys"]["classes"]["num_labels"] == len(PHONES)
        assert read_vocab(f"{tmp_path}/out-{number}/vocab/classes.txt").labels == PHONES


def test_shards_of_webdataset(tmp_path, seqmill):
    numbers = epochs_of(seqmill, tmp_path, NUMBERS, jsonl_of_numbers(tmp_path))
    speech = epochs_of(seqmill, tmp_path, SPEECH, jsonl_of_speech(tmp_path))
    packed = WRITTEN / "shard-000000.tar.gz"
    shutil.copy(packed, tmp_path)
    (tmp_path / "shard.tar").write_bytes(gzip.decompress(packed.read_bytes()))
    data = {"data": {"field": "npy", "type": "floats"}, "classes": {"field": "json.classes", "type": "ints"}}
    assert epochs_of(seqmill, tmp_path, data, {"format": "webdataset", "files": ["shard.tar"]}) == numbers
    data = {"data": {"field": "flac", "type": "audio"}, "text": {"field": "txt", "type": "bytes"}}
    corpus = {"format": "webdataset", "files": ["shard-*.tar.gz"]}
    assert epochs_of(seqmill, tmp_path, data, corpus) == speech


def test_cuts_and_recordings_of_lhotse(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, SPEECH, jsonl_of_speech(tmp_path))
    samples = np.concatenate([u.samples for u in UTTERANCES])
    soundfile.write(tmp_path / "recording.flac", samples, RATE, subtype="PCM_16")
    for name in ("cuts.jsonl.gz", "recordings.jsonl"):
        shutil.copy(WRITTEN / name, tmp_path)
    corpus = {"format": "lhotse", "files": ["cuts.jsonl.gz"]}
    assert epochs_of(seqmill, tmp_path, SPEECH, corpus) == expected
    data = {"data": SPEECH["data"]}
    whole = epochs_of(seqmill, tmp_path, data, {"format": "lhotse", "files": ["recordings.jsonl"]})
    (values,) = {tuple(values["data"][1]) for _, _, values in whole}
    np.testing.assert_array_equal(values, samples.astype("f4") / 32768)


def test_features_that_lhotse_has_computed(tmp_path, seqmill):
    data = {"data": {"type": "floats"}, "text": {"type": "bytes"}}
    expected = epochs_of(seqmill, tmp_path, data, jsonl_of_numbers(tmp_path))
    shutil.copytree(WRITTEN / "feats", tmp_path / "feats")
    shutil.copy(WRITTEN / "feature_cuts.jsonl.gz", tmp_path)
    data["data"]["field"] = "features"
    corpus = {"format": "lhotse", "files": ["feature_cuts.jsonl.gz"]}
    assert epochs_of(seqmill, tmp_path, data, corpus) == expected


def test_a_folder_like_librispeech(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, SPEECH, jsonl_of_speech(tmp_path))
    for speaker in ("spk0", "spk1"):
        folder = tmp_path / f"corpus/{speaker}/1"
        folder.mkdir(parents=True)
        mine = [u for u in UTTERANCES if u.tag.startswith(speaker)]
        (folder / f"{speaker}-1.trans.txt").write_text("".join(f"{u.tag} {u.text}\n" for u in mine))
        for u in mine:
            (folder / f"{u.tag}.flac").write_bytes(u.flac())
    assert epochs_of(seqmill, tmp_path, SPEECH, {"format": "librispeech", "files": ["corpus"]}) == expected


def test_tables_of_common_voice(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, SPEECH, jsonl_of_speech(tmp_path))
    rows = ["client_id\tpath\tsentence\tup_votes"]
    for u in UTTERANCES:
        text = '"' + u.text.replace('"', '""') + '"' if '"' in u.text else u.text
        rows.append(f"x\t{u.tag}.flac\t{text}\t2")
    (tmp_path / "train.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "flac").rename(tmp_path / "clips")
    data = {"data": {"field": "path", "type": "audio"}, "text": {"field": "sentence", "type": "bytes"}}
    corpus = {"format": "tsv", "files": ["train.tsv"], "audio_root": "clips", "quoting": True}
    found = epochs_of(seqmill, tmp_path, data, {**corpus, "seq_tag": "path"})
    assert [(tag.removesuffix(".flac"), number, values) for tag, number, values in found] == expected


def test_sequence_examples(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, NUMBERS, jsonl_of_numbers(tmp_path))

    def steps(values, kind, feature):
        return tf.train.FeatureList(
            feature=[tf.train.Feature(**{kind: feature(value=np.atleast_1d(v).tolist())}) for v in values]
        )

    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for u in UTTERANCES:
            tag = tf.train.Feature(bytes_list=tf.train.BytesList(value=[u.tag.encode()]))
            lists = {
                "data": steps(u.features, "float_list", tf.train.FloatList),
                "classes": steps(u.phones, "int64_list", tf.train.Int64List),
            }
            example = tf.train.SequenceExample(
                context=tf.train.Features(feature={"id": tag}),
                feature_lists=tf.train.FeatureLists(feature_list=lists),
            )
            writer.write(example.SerializeToString())
    corpus = {"format": "tfrecord", "files": ["a.tfrecord"], "seq_tag": "id"}
    assert epochs_of(seqmill, tmp_path, NUMBERS, corpus) == expected
