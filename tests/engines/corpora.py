"""Corpora that every engine is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqmill_runs import write_config, write_jsonl

NUM_TASKS = {"store": 40, "epochs": 60}  # of the corpus of many tasks, in the folders that they write to


def write_two_corpora(folder: Path) -> Path:
    """Corpora of three and one splits with counted labels; chunks, several epochs and shards."""
    for corpus, num_files in (("train", 3), ("dev", 1)):
        for file in range(num_files):
            write_jsonl(folder / f"{corpus}-{file}.jsonl", [_record(i + 7 * file) for i in range(60)])
    return configure_two_corpora(folder, str(folder))


def configure_two_corpora(folder: Path, source: str) -> Path:
    """The configuration, in a folder, of the corpora that lie in a folder or behind a URL."""
    return write_config(
        folder,
        {"data": {"type": "floats"}, "classes": {"type": "words"}},
        {name: {"format": "jsonl", "files": [f"{source}/{name}-*.jsonl"]} for name in ("train", "dev")},
        max_seq_length={"data": 15},
        seq_ordering="laplace:3",
        chunking={"data": "6:4"},
        num_epochs=2,
        num_shards=3,
        max_rejected=0.1,
    )


def write_many_tasks(folder: Path) -> Path:
    """A corpus that is so many small tasks that there is a middle of each step."""
    for file in range(NUM_TASKS["store"]):
        records = [{"data": list(range(1 + (file + i) % 37))} for i in range(50)]
        write_jsonl(folder / f"{file:02d}.jsonl", records)
    return write_options(folder, "ints", num_epochs=3, num_shards=NUM_TASKS["epochs"] // 3)


def write_options(folder: Path, data_type: str, name: str = "config.toml", **options: Any) -> Path:
    """A configuration of the corpus of many tasks."""
    corpora = {"train": {"format": "jsonl", "files": ["*.jsonl"]}}
    return write_config(
        folder, {"data": {"type": data_type}}, corpora, name, **{"seq_ordering": "random", **options}
    )


def _record(number: int) -> dict[str, Any]:
    if number == 11:
        return {"data": "none", "classes": "a"}  # rejected
    frames = [[(number * 7 + frame) % 11 / 4, -frame] for frame in range(1 + number * 5 % 17)]
    return {"data": frames, "classes": " ".join("abcdé"[(number + k) % 5] for k in range(1 + number % 3))}
