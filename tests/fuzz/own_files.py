"""Damaged files of ours: nothing wrong is called right, and a rerun makes everything as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import numpy as np
import orjson
from command import seqmill
from mutations import damaged

from seqmill.trainer.stored_epoch import StoredEpoch
from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.batches.read_batches import read_epoch
from seqmill.transforms.storage.errors import SeqmillError

LOCKS = (".lock",)

CONFIG = """output = "out"
batch_size = 60
num_epochs = 2
num_shards = 2
seq_ordering = "laplace:.10"
[data.x]
type = "floats"
[data.y]
type = "chars"
[corpus.train]
format = "jsonl"
files = ["a.jsonl", "b.jsonl"]
"""


class OwnFiles:
    """One case after another, each damages one file of a finished output.

    Args:
        folder: Scratch.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        random = Random(0)
        for name in ("a.jsonl", "b.jsonl"):
            lines = []
            for _ in range(25):
                length = random.randint(1, 12)
                x = [round(random.uniform(-1, 1), 3) for _ in range(length)]
                lines.append(orjson.dumps({"x": x, "y": "".join(random.choice("abcde") for _ in x)}) + b"\n")
            (folder / name).write_bytes(b"".join(lines))
        self._config = folder / "config.toml"
        self._config.write_text(CONFIG)
        self._output = folder / "out"
        ended = seqmill("preprocess", self._config)
        assert ended.code == 0, ended.output
        self._whole = _tree(self._output)
        self._batches = self._read()

    def run(self, seed: int) -> str:
        """One case. Returns what happened, in a word or two; raises AssertionError where that is wrong."""
        random = Random(seed)
        name = random.choice(sorted(self._whole))
        path = self._output / name
        if random.random() < 0.05:
            path.unlink()
        else:
            path.write_bytes(damaged(self._whole[name], random))
        if path.parent.name == "receipts":
            # What tasks leave is read only where their folder was not finished.
            for summary in ("manifest.json", "vocab.json"):
                (path.parent.parent / summary).unlink(missing_ok=True)
        try:
            said_right = self._verify()
            read = self._read_damaged()
            if said_right:
                for batches in read:
                    assert batches == self._batches, f"{name}: verify called wrong batches right"
            self._rerun(name)
            return f"{_kind(name)}: verify {'right' if said_right else 'wrong'}"
        except AssertionError:
            shutil.rmtree(self._output)
            raise
        finally:
            self._restore()

    def _verify(self) -> bool:
        ended = seqmill("verify", self._output)
        assert ended.code in (0, 1), ended.output
        assert "Traceback" not in ended.output, ended.output
        return ended.code == 0

    def _read_damaged(self) -> list[list[bytes]]:
        """What each way of reading gives; a batch that is not as it was written is an error in any case."""
        found = []
        for way in (self._read, self._read_as_trainer):
            try:
                batches = way()
            except SeqmillError:
                continue
            found.append(batches)
        return found

    def _read(self) -> list[bytes]:
        folder = str(self._output / "epochs/train")
        content = manifest.read(folder)
        return [_bytes(batch) for epoch in content.epochs for batch in read_epoch(folder, content, epoch)]

    def _read_as_trainer(self) -> list[bytes]:
        folder = str(self._output / "epochs/train")
        content = manifest.read(folder)
        found = []
        for epoch in content.epochs:
            shards = epoch_manifest.read(folder, content, epoch).shards
            stored = StoredEpoch(folder, shards, content.data_keys)
            found += [_bytes(stored.batch(index)) for index in range(epoch.num_batches)]
        return found

    def _rerun(self, name: str) -> None:
        ended = seqmill("preprocess", self._config)
        assert ended.code == 0, f"{name}: {ended.output}"
        after = _tree(self._output)
        # What tasks leave is of no use any more, and run.json only to tasks that are still running.
        unused = {name} if name.startswith("vocab/receipts/") or name.endswith("/run.json") else set()
        names = {*after, *self._whole} - unused
        different = [key for key in sorted(names) if not _same(key, after.get(key), self._whole.get(key))]
        assert not different, f"{name} was damaged; after a rerun {different} are not as before"
        ended = seqmill("verify", self._output)
        assert ended.code == 0, f"{name}: {ended.output}"

    def _restore(self) -> None:
        here = _tree(self._output) if self._output.exists() else {}
        for name in here.keys() - self._whole.keys():
            (self._output / name).unlink()
        for name, content in self._whole.items():
            if here.get(name) != content:
                path = self._output / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def _same(name: str, found: bytes | None, expected: bytes | None) -> bool:
    """Whether a file is as before; JSON may have other white space, which says nothing."""
    if found is None or expected is None or not name.endswith(".json"):
        return found == expected
    return json.loads(found) == json.loads(expected)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in LOCKS
    }


def _bytes(batch: PaddedBatch) -> bytes:
    arrays = b"".join(np.ascontiguousarray(array).tobytes() for array in batch.arrays.values())
    lengths = [batch.lengths[key].tolist() for key in batch.arrays]
    return (
        arrays + repr((lengths, list(batch.seq_tags), batch.seq_index.tolist(), batch.batch_index)).encode()
    )


def _kind(name: str) -> str:
    path = Path(name)
    return f"{path.parts[0]}/…/{path.suffix.lstrip('.') or path.name}"
