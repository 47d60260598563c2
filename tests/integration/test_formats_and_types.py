"""Every input format and every data type, from raw files to decoded batches."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from seqmill_runs import read_epochs, sequences, write_config, write_jsonl

from seqmill.transforms.records import tfrecord

RECORDS = [{"ids": [1, 2, 3], "text": "ab c"}, {"ids": [4], "text": "Zoë"}, {"ids": [5, 6], "text": "b"}]
DATA = {"ids": {"type": "ints"}, "text": {"type": "bytes"}}


def written(output, key):
    (batches,) = read_epochs(output)
    return [array for _, _, array in sequences(batches, key)]


def tfrecord_file(records):
    file = io.BytesIO()
    for record in records:
        features = {
            "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=record["ids"])),
            "text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[record["text"].encode()])),
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        file.writelines(tfrecord.framed([example.SerializeToString()]))
    return file.getvalue()


def table(delimiter):
    rows = [f"ids{delimiter}text"]
    rows += [f"{' '.join(map(str, r['ids']))}{delimiter}{r['text']}" for r in RECORDS]
    return "\n".join(rows).encode() + b"\n"


def write_files(folder, format):
    """Writes RECORDS; returns what ``files`` of the corpus must name."""
    write_jsonl(folder / "a.jsonl", RECORDS)
    write_jsonl(folder / "a.jsonl.gz", RECORDS)
    with pa.CompressedOutputStream(str(folder / "a.jsonl.zst"), "zstd") as stream:
        stream.write((folder / "a.jsonl").read_bytes())
    (folder / "ids.txt").write_text("".join(" ".join(map(str, r["ids"])) + "\n" for r in RECORDS))
    (folder / "text.txt").write_text("".join(r["text"] + "\n" for r in RECORDS))
    (folder / "a.csv").write_bytes(table(","))
    (folder / "a.tsv").write_bytes(table("\t"))
    pq.write_table(pa.Table.from_pylist(RECORDS), folder / "a.parquet", row_group_size=2)
    (folder / "a.tfrecord").write_bytes(tfrecord_file(RECORDS))
    return {"ids": "ids.txt", "text": ["text.txt"]} if format == "text" else [f"a.{format}"]


@pytest.mark.parametrize(
    "format", ["jsonl", "jsonl.gz", "jsonl.zst", "text", "csv", "tsv", "parquet", "tfrecord"]
)
def test_every_format_gives_the_same_batches(tmp_path, seqmill, format):
    files = write_files(tmp_path, format)
    corpora = {"train": {"format": format.partition(".")[0], "files": files}}
    seqmill.succeeds("preprocess", write_config(tmp_path, DATA, corpora))
    seqmill.succeeds("verify", tmp_path / "out")
    assert [array.tolist() for array in written(tmp_path / "out", "ids")] == [r["ids"] for r in RECORDS]
    assert [array.tobytes().decode() for array in written(tmp_path / "out", "text")] == [
        r["text"] for r in RECORDS
    ]
    (batches,) = read_epochs(tmp_path / "out")
    name = "ids.txt" if format == "text" else f"a.{format}"
    assert [tag.decode() for tag in batches[0].seq_tags] == [f"{name}:{n}" for n in (1, 2, 3)]


def sound(seconds, rate=16000):
    import soundfile

    samples = (np.sin(np.arange(int(seconds * rate)) / 20) * 8000).astype("<i2")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue(), samples


def test_audio_structs_of_parquet_data_sets(tmp_path, seqmill):
    sounds = [sound(0.1), sound(0.25)]
    rows = [{"audio": {"bytes": content, "path": "x.wav"}, "n": i} for i, (content, _) in enumerate(sounds)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    data = {"data": {"field": "audio", "type": "audio"}, "n": {"type": "ints"}}
    config = write_config(
        tmp_path, data, {"train": {"format": "parquet", "files": ["a.parquet"]}}, batch_size={"data": 9999}
    )
    seqmill.succeeds("preprocess", config, "--direct_running_mode=in_memory")
    seqmill.succeeds("verify", tmp_path / "out")
    for array, (_, samples) in zip(written(tmp_path / "out", "data"), sounds, strict=True):
        np.testing.assert_array_equal(array, samples.astype("f4") / 32768)


def test_a_nemo_manifest_works_as_it_is(tmp_path, seqmill):
    import kaldi_native_fbank

    (tmp_path / "wav").mkdir()
    content, samples = sound(0.5)
    (tmp_path / "wav/a.wav").write_bytes(content)
    write_jsonl(tmp_path / "m.json", [{"audio_filepath": "wav/a.wav", "text": "hi", "duration": 0.5}])
    data = {
        "data": {"field": "audio_filepath", "type": "log_mel", "num_mel_bins": 23},
        "text": {"type": "chars"},
    }
    config = write_config(tmp_path, data, {"train": {"format": "jsonl", "files": ["m.json"]}})
    seqmill.succeeds("preprocess", config, "--direct_running_mode=in_memory")

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 23
    computer = kaldi_native_fbank.OnlineFbank(options)
    computer.accept_waveform(16000, samples.astype("f4").tolist())
    expected = np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])
    (frames,) = written(tmp_path / "out", "data")
    np.testing.assert_allclose(frames, expected, rtol=1e-5)
    shown = seqmill.succeeds("show", tmp_path / "out").out
    assert "data [48]" in shown
    assert "text [2] hi" in shown


def test_segments_of_one_recording_below_audio_root(tmp_path, seqmill):
    (tmp_path / "clips").mkdir()
    content, samples = sound(0.5)
    (tmp_path / "clips/a.wav").write_bytes(content)
    rows = [f"a.wav\t{n / 10}\t0.1" for n in range(5)] + [
        "https://example.invalid/a.wav\t0\t1",
        "a.wav\t1\t1",
    ]
    (tmp_path / "m.tsv").write_text("\n".join(["path\toffset\tduration", *rows]) + "\n")
    pq.write_table(
        pa.table({"path": ["a.wav"], "start": [0.25], "duration": [0.125]}), tmp_path / "m.parquet"
    )
    corpora = {
        "train": {"format": "tsv", "files": ["m.tsv"], "audio_root": "clips", "max_rejected": 0.5},
        "dev": {"format": "parquet", "files": ["m.parquet"], "audio_root": "clips"},
    }
    config = write_config(tmp_path, {"data": {"field": "path", "type": "audio"}}, corpora)
    seqmill.succeeds("preprocess", config)
    whole = samples.astype("f4") / 32768
    np.testing.assert_array_equal(written(tmp_path / "out", "data"), whole.reshape(5, 1600))
    ((_, _, array),) = sequences(read_epochs(tmp_path / "out", "dev")[0], "data")
    np.testing.assert_array_equal(array, whole[4000:6000])
    rejected = (tmp_path / "out/store/train/rejected/ingest.jsonl").read_text()
    assert "data: missing audio file" in rejected
    assert "data: no such segment" in rejected


def test_every_other_type(tmp_path, seqmill):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "good": 1, "day": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "labels.txt").write_text("<pad>\n<unk>\nday\ngood\n")
    record = {"t": "good day", "deep": {"x": [[1, 2], [3, 4.5]]}, "f": [0.5, 2], "n": 7, "ids": [3, 1]}
    write_jsonl(tmp_path / "a.jsonl", [record])
    data = {
        "chars": {"field": "t", "type": "chars"},
        "words": {"field": "t", "type": "words", "vocab": "labels.txt"},
        "subwords": {"field": "t", "type": "subwords", "tokenizer": "tokenizer.json"},
        "bytes": {"field": "t", "type": "bytes"},
        "floats": {"field": "deep.x", "type": "floats"},
        "f": {"type": "floats"},
        "n": {"type": "ints"},
        "ids": {"type": "ints", "vocab": "labels.txt"},
    }
    config = write_config(tmp_path, data, {"train": {"format": "jsonl", "files": ["a.jsonl"]}})
    seqmill.succeeds("preprocess", config)
    seqmill.succeeds("verify", tmp_path / "out")
    found = {key: written(tmp_path / "out", key)[0].tolist() for key in data}
    labels = (tmp_path / "out/vocab/chars.txt").read_text().split("\n")
    assert "".join(labels[i] for i in found.pop("chars")) == "good day"
    assert found == {
        "words": [3, 2],
        "subwords": [1, 2],
        "bytes": list(b"good day"),
        "floats": [[1, 2], [3, 4.5]],
        "f": [0.5, 2],
        "n": [7],
        "ids": [3, 1],
    }
    dtypes = {key: array.dtype.str for key, array in read_epochs(tmp_path / "out")[0][0].arrays.items()}
    assert dtypes["bytes"] == "|u1"
    assert {dtypes[key] for key in ("floats", "f")} == {"<f4"}
    assert {dtypes[key] for key in ("chars", "words", "subwords", "n", "ids")} == {"<i4"}
    shown = seqmill.succeeds("show", tmp_path / "out").out
    assert shown.count("good day") == 4
    assert "preprocess train: up to date" in seqmill.succeeds("preprocess", config).err
