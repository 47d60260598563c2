"""Kaldi's data folders, and arrays in files of their own: the same epochs as from JSON lines."""

from itertools import pairwise

import kaldi_native_io
import numpy as np
import soundfile
from other_tools import (
    NUMBERS,
    RATE,
    SPEECH,
    UTTERANCES,
    epochs_of,
    jsonl_of_numbers,
    jsonl_of_speech,
)
from seqmill_runs import write_jsonl


def write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))


def test_features_and_alignments_in_arks(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, NUMBERS, jsonl_of_numbers(tmp_path))
    folder = tmp_path / "data/train"
    folder.mkdir(parents=True)
    for part, utterances in enumerate((UTTERANCES[:3], UTTERANCES[3:])):
        # Arks are named as from the folder in which Kaldi was run.
        with (
            kaldi_native_io.FloatMatrixWriter(f"ark,scp:{folder}/f{part}.ark,{folder}/f{part}.scp") as feats,
            kaldi_native_io.Int32VectorWriter(f"ark,scp:{folder}/a{part}.ark,{folder}/a{part}.scp") as ali,
        ):
            for u in utterances:
                feats.write(u.tag, u.features)
                ali.write(u.tag, u.phones.tolist())
    for name, short in (("feats", "f"), ("ali", "a")):
        lines = "".join((folder / f"{short}{part}.scp").read_text() for part in (0, 1))
        (folder / f"{name}.scp").write_text(lines.replace(f"{tmp_path}/", ""))
    data = {"data": {"field": "feats", "type": "floats"}, "classes": {"field": "ali", "type": "ints"}}
    corpus = {"format": "kaldi", "files": ["data/train"], "audio_root": "."}
    assert epochs_of(seqmill, tmp_path, data, corpus) == expected
    # Alignments as text, which Kaldi writes with `ark,t:`.
    write_lines(folder / "phones", (f"{u.tag} {' '.join(map(str, u.phones))} " for u in UTTERANCES))
    in_text = {**data, "classes": {"field": "phones", "type": "ints"}}
    assert epochs_of(seqmill, tmp_path, in_text, corpus) == expected
    # A changed ark is noticed behind unchanged lists.
    config = tmp_path / "config-1.toml"
    assert "train: up to date" in seqmill.succeeds("ingest", config).err
    with (folder / "f1.ark").open("ab") as file:
        file.write(b"x")
    assert "train: up to date" not in seqmill.succeeds("ingest", config).err


def test_segments_of_recordings(tmp_path, seqmill):
    data = {"data": {"field": "audio", "type": "audio"}, "text": {"type": "bytes"}, "spk": {"type": "bytes"}}
    jsonl_of_speech(tmp_path)
    rows = [
        {"tag": u.tag, "audio": f"flac/{u.tag}.flac", "text": u.text, "spk": u.tag[:4]} for u in UTTERANCES
    ]
    write_jsonl(tmp_path / "speech.jsonl", rows)
    corpus = {"format": "jsonl", "files": ["speech.jsonl"], "seq_tag": "tag"}
    expected = epochs_of(seqmill, tmp_path, data, corpus)
    folder = tmp_path / "kaldi"
    folder.mkdir()
    starts = np.cumsum([0, *(len(u.samples) for u in UTTERANCES)])
    recording = np.concatenate([u.samples for u in UTTERANCES])
    soundfile.write(folder / "all of it.wav", recording, RATE, subtype="PCM_16")
    write_lines(folder / "wav.scp", ["rec all of it.wav"])
    write_lines(
        folder / "segments",
        [
            f"{u.tag} rec {a / RATE} {b / RATE}"
            for u, (a, b) in zip(UTTERANCES, pairwise(starts), strict=True)
        ],
    )
    write_lines(folder / "text", [f"{u.tag} {u.text}" for u in UTTERANCES])
    write_lines(folder / "utt2spk", [f"{u.tag} {u.tag[:4]}" for u in UTTERANCES])
    data["data"]["field"], data["spk"]["field"] = "wav", "utt2spk"
    assert epochs_of(seqmill, tmp_path, data, {"format": "kaldi", "files": ["kaldi"]}) == expected
    for name in ("segments", "wav.scp"):
        (folder / name).unlink()
    write_lines(folder / "wav.scp", [f"{u.tag} ../flac/{u.tag}.flac" for u in UTTERANCES])
    assert epochs_of(seqmill, tmp_path, data, {"format": "kaldi", "files": ["kaldi/wav.scp"]}) == expected


def test_sound_in_arks(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, SPEECH, jsonl_of_speech(tmp_path))
    folder = tmp_path / "kaldi"
    folder.mkdir()
    with kaldi_native_io.WaveWriter(f"ark,scp:{folder}/wav.ark,{folder}/wav.scp") as writer:
        for u in UTTERANCES:
            writer.write(u.tag, kaldi_native_io.WaveData(RATE, u.samples[None].astype("f4")))
    write_lines(folder / "text", [f"{u.tag} {u.text}" for u in UTTERANCES])
    data = {**SPEECH, "data": {"field": "wav", "type": "audio"}}
    corpus = {"format": "kaldi", "files": ["kaldi"]}
    assert epochs_of(seqmill, tmp_path, data, corpus) == expected
    config = tmp_path / "config-1.toml"
    assert "train: up to date" in seqmill.succeeds("ingest", config).err
    with (folder / "wav.ark").open("ab") as file:
        file.write(b"x")
    assert "train: up to date" not in seqmill.succeeds("ingest", config).err


def test_npy_files_and_flat_numbers(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, NUMBERS, jsonl_of_numbers(tmp_path))
    (tmp_path / "npy").mkdir()
    for u in UTTERANCES:
        np.save(tmp_path / f"npy/{u.tag}.npy", u.features)
    rows = [{"tag": u.tag, "data": f"npy/{u.tag}.npy", "classes": u.phones.tolist()} for u in UTTERANCES]
    write_jsonl(tmp_path / "paths.jsonl", rows)
    corpus = {"format": "jsonl", "files": ["paths.jsonl"], "seq_tag": "tag"}
    assert epochs_of(seqmill, tmp_path, NUMBERS, corpus) == expected
    rows = [{**row, "data": u.features.ravel().tolist()} for row, u in zip(rows, UTTERANCES, strict=True)]
    write_jsonl(tmp_path / "flat.jsonl", rows)
    corpus = {"format": "jsonl", "files": ["flat.jsonl"], "seq_tag": "tag"}
    data = {**NUMBERS, "data": {"type": "floats", "frame_size": 3}}
    assert epochs_of(seqmill, tmp_path, data, corpus) == expected
