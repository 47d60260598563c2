"""One small corpus, written as other tools write theirs, and what seqmill makes of it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from seqmill_runs import read_epochs, sequences, write_config, write_jsonl

RATE = 16000
PHONES = ("sil", "ah", "b", "k", "iy")


@dataclass(frozen=True)
class Utterance:
    """A sequence: features float32 [T, 3], phones int32 [T], text, and samples int16 [n] of its own sound."""

    tag: str
    features: np.ndarray
    phones: np.ndarray
    text: str
    samples: np.ndarray

    def flac(self) -> bytes:
        """Its sound as a FLAC file."""
        file = io.BytesIO()
        soundfile.write(file, self.samples, RATE, format="FLAC", subtype="PCM_16")
        return file.getvalue()


def _utterances() -> tuple[Utterance, ...]:
    random = np.random.default_rng(7)
    texts = ("hello world", "it's 'quoted', \"twice\"", "zoë", "a", "b c d", "the end")
    return tuple(
        Utterance(
            f"spk{n % 2}-utt{n}",
            random.normal(size=(frames, 3)).astype("f4"),
            random.integers(0, len(PHONES), frames).astype("i4"),
            text,
            random.integers(-9000, 9000, 400 + 100 * n).astype("i2"),
        )
        for n, (frames, text) in enumerate(zip((4, 7, 1, 3, 9, 2), texts, strict=True))
    )


UTTERANCES = tuple(sorted(_utterances(), key=lambda u: u.tag))

NUMBERS = {"data": {"type": "floats"}, "classes": {"type": "ints"}}
SPEECH = {"data": {"field": "audio", "type": "audio"}, "text": {"type": "bytes"}}


def jsonl_of_numbers(folder: Path) -> dict[str, Any]:
    """The corpus' features and phones as JSON lines; returns the table of the corpus."""
    rows = [
        {"tag": u.tag, "data": u.features.tolist(), "classes": u.phones.tolist(), "text": u.text}
        for u in UTTERANCES
    ]
    write_jsonl(folder / "numbers.jsonl", rows)
    return {"format": "jsonl", "files": ["numbers.jsonl"], "seq_tag": "tag"}


def jsonl_of_speech(folder: Path) -> dict[str, Any]:
    """The corpus' sound and text as JSON lines that name FLAC files; returns the table of the corpus."""
    (folder / "flac").mkdir(exist_ok=True)
    for u in UTTERANCES:
        (folder / f"flac/{u.tag}.flac").write_bytes(u.flac())
    rows = [{"tag": u.tag, "audio": f"flac/{u.tag}.flac", "text": u.text} for u in UTTERANCES]
    write_jsonl(folder / "speech.jsonl", rows)
    return {"format": "jsonl", "files": ["speech.jsonl"], "seq_tag": "tag"}


def epochs_of(
    seqmill, folder: Path, data: Mapping[str, Mapping[str, Any]], corpus: Mapping[str, Any]
) -> list[tuple[str, int, dict[str, tuple[str, Any]]]]:
    """Of every entry of every batch the tag, the batch, and dtype and values of each array."""
    name = f"{len(list(folder.glob('config-*')))}"
    config = write_config(
        folder, data, {"train": corpus}, f"config-{name}.toml", output=f"out-{name}", max_seqs=4, num_epochs=2
    )
    seqmill.succeeds("preprocess", config, "--seq_ordering=random", "--direct_running_mode=in_memory")
    seqmill.succeeds("verify", folder / f"out-{name}")
    found = []
    for batches in read_epochs(folder / f"out-{name}"):
        for number, batch in enumerate(batches):
            arrays = {key: sequences([batch], key) for key in data}
            for row, (tag, _, _) in enumerate(next(iter(arrays.values()))):
                values = {
                    key: (rows[row][2].dtype.str, rows[row][2].tolist()) for key, rows in arrays.items()
                }
                found.append((tag.decode(), number, values))
    return found


def manifest_of(folder: Path, number: int = 0) -> dict[str, Any]:
    """The manifest of the train corpus' epochs of a run."""
    return json.loads((folder / f"out-{number}/epochs/train/manifest.json").read_text())
