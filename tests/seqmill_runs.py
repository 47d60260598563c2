"""Runs the real command in this process and reads what it wrote."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from seqmill.pipelines.main import main
from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.batches.read_batches import read_epoch
from seqmill.transforms.storage.locks import LOCK_FILE


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def names(self, *places: str) -> None:
        """Checks that a failed command says what is wrong, where, and without a traceback."""
        assert self.code in (1, 2), self.err
        assert "Traceback" not in self.err
        for place in places:
            assert place in self.err, self.err


class Seqmill:
    """Runs commands, with the output that they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]):
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Ended:
        self._capsys.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def succeeds(self, *arguments: object) -> Ended:
        """Runs a command that must not fail."""
        ended = self(*arguments)
        assert ended.code == 0, ended.err
        return ended


def write_config(
    folder: Path,
    data: Mapping[str, Mapping[str, Any]],
    corpora: Mapping[str, Mapping[str, Any]],
    name: str = "config.toml",
    **options: Any,
) -> Path:
    """Writes a configuration with ``output = "out"``; ``batch_size`` is 100 where nothing else is given."""
    if not {"batch_size", "max_seqs"} & options.keys():
        options["batch_size"] = 100
    lines = [f"{key} = {_toml(value)}" for key, value in {"output": "out", **options}.items()]
    for section, tables in (("data", data), ("corpus", corpora)):
        for table, values in tables.items():
            lines.append(f"[{section}.{table}]")
            lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def write_jsonl(path: Path, records: Sequence[Any]) -> Path:
    """Writes records as JSON lines; bytes and str are lines as they are."""
    lines = [
        r if isinstance(r, bytes) else r.encode() if isinstance(r, str) else orjson.dumps(r) for r in records
    ]
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def rejects(output: Path, corpus: str = "train", stage: str = "store") -> list[dict[str, Any]]:
    """What ``rejected/*.jsonl`` lists."""
    folder = output / stage / corpus / "rejected"
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    return [json.loads(line) for line in lines]


def read_epochs(output: Path | str, corpus: str = "train") -> list[list[PaddedBatch]]:
    """The batches of every epoch that was written."""
    folder = f"{output}/epochs/{corpus}"
    content = manifest.read(folder)
    return [list(read_epoch(folder, content, epoch)) for epoch in content.epochs]


def sequences(batches: Sequence[PaddedBatch], key: str) -> list[tuple[bytes, int, np.ndarray]]:
    """(tag, first frame, array without padding) of every entry of some batches."""
    return [
        (tag, int(start), batch.arrays[key][row, :length].copy())
        for batch in batches
        for row, (tag, start, length) in enumerate(
            zip(batch.seq_tags, batch.chunk_start, batch.lengths[key], strict=True)
        )
    ]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, but for the lock, which names the last process."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != LOCK_FILE]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def mtimes(folder: Path) -> dict[str, int]:
    """Every file of ``tree`` with the time it was last written."""
    return {name: (folder / name).stat().st_mtime_ns for name in tree(folder)}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
