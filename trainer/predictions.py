"""What a model predicts of a stored corpus: one line per sequence, in corpus order, each exactly once.

FILE.parts/run.json                       what decides the lines: the model, the corpus
FILE.parts/part-00000000-00000128.jsonl   the lines of batches 0 to 127, in their order, under their hash
FILE                                      all lines in corpus order; the parts are gone then
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import xxhash

from seqmill.trainer.corpus import Corpus
from seqmill.trainer.numpy_batches import SEQ_INDEX, SEQ_TAG, batches
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import LOCK_FILE, only_writer
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX

Predict = Callable[[dict[str, Any]], Any]

FORMAT = "seqmill.predictions/1"
SECONDS_PER_PART = 10.0

_MOST_BYTES = 64_000_000  # of a part
_MOST_TAG_BYTES = 1_000_000
_BEGINNING = re.compile(rb'\{"seq_tag":"(?:[^"\\]|\\.)*","prediction":')
_RUN_NAME = "run.json"
_PART_NAME = re.compile(r"part-(\d{8,})-(\d{8,})\.jsonl")


def predict_corpus(
    corpus: Corpus,
    predict: Predict,
    path: str,
    model_facts: Mapping[str, Any],
    seconds_per_part: float = SECONDS_PER_PART,
    say: Callable[[str], None] = print,
) -> int:
    """Writes ``{"seq_tag": …, "prediction": …}`` for every sequence of a corpus, in corpus order.

    Killed and called again with the same model and corpus it goes on where it was, and writes the same file.

    Args:
        corpus: From ``open_corpus``; not chunked.
        predict: function(batch) → one result per sequence that JSON can hold. A batch has per data key
            ``<key>`` [B, T, …], ``<key>_lengths`` int32 [B], ``<key>_mask`` bool [B, T], ``seq_tag`` (a list)
            and ``seq_index`` int64 [B]; a packed one the columns of packed batches.
        path: The file, path or URL.
        model_facts: What identifies model and function; parts of others are not used.
        seconds_per_part: What is lost at most when the process is killed.
        say: Takes a line where parts are used again or are damaged.

    Returns:
        The number of sequences.

    Raises:
        UsageError: The corpus is chunked, or holds only a part of a pass; or as ``check_replaceable`` says.
        SeqmillError: Results are not as many as sequences, or JSON cannot hold one.
    """
    epochs = _one_pass(corpus)
    check_replaceable(path)
    folder = _parts_folder(path)
    with only_writer(folder, "prediction"):
        run = {"format": FORMAT, "corpus": corpus.manifest.fingerprint, "model": dict(model_facts)}
        parts = _Parts(folder, run, say)
        if parts.batches_done:
            say(f"going on after {counted(parts.batches_done, 'batch', 'batches')}")
        begun, lines = time.monotonic(), _Lines()
        for batch in _batches(corpus, epochs, parts.batches_done):
            lines.add(batch, predict(batch))
            if time.monotonic() - begun >= seconds_per_part or lines.num_bytes > _MOST_BYTES:
                parts.write(lines)
                begun, lines = time.monotonic(), _Lines()
        if lines.num_batches:
            parts.write(lines)
        num_seqs = _join(parts.contents(), path, corpus, epochs)
        files.remove(folder)
    return num_seqs


def check_replaceable(path: str) -> None:
    """Refuses to write where anything but earlier predictions is, or their parts among other files.

    Raises:
        UsageError: So it is.
    """
    if files.exists(path) and not _holds_predictions(path):
        raise UsageError(
            f"{path}: holds no earlier predictions, so it is not replaced; expected a new file (--to=FILE)"
        )
    folder = _parts_folder(path)
    others = [name for name in files.list_names(folder) if not _is_of_parts(name)]
    if others or files.is_file(folder):
        what = f"holds {others[0]!r}, which is none of them" if others else "is a file"
        raise UsageError(
            f"{folder}: is for parts of the predictions, but {what}; expected another file (--to=FILE)"
        )


def _holds_predictions(path: str) -> bool:
    if not files.is_file(path):
        return False
    with files.open_read(path, _MOST_TAG_BYTES) as file:
        beginning = file.read(_MOST_TAG_BYTES)
    return not beginning or _BEGINNING.match(beginning) is not None


def _parts_folder(path: str) -> str:
    return f"{path}.parts"


def _is_of_parts(name: str) -> bool:
    is_part = _PART_NAME.fullmatch(name) is not None
    return is_part or name in (_RUN_NAME, LOCK_FILE) or name.startswith(TEMPORARY_PREFIX)


def _one_pass(corpus: Corpus) -> range:
    """The stored epochs that hold every sequence once. Raises UsageError where there are none."""
    options = corpus.manifest.schedule.options
    if len(corpus.manifest.schedule.stretches) > 1:
        raise UsageError(
            f"{corpus.folder}: its epochs follow a schedule; predictions are of every sequence once: give "
            "the corpus a second name, [corpus.NAME], and run `seqmill preprocess`"
        )
    if options.chunking:
        raise UsageError(
            f"{corpus.folder}: is chunked; predictions are of whole sequences: give the corpus a second "
            "name, [corpus.NAME], without chunking, and run `seqmill preprocess`"
        )
    if corpus.manifest.repeats:
        raise UsageError(
            f"{corpus.folder}: has sequences several times, as files are listed several times or sources "
            "are mixed; predictions are of every sequence once: give what is to be predicted a second name, "
            "[corpus.NAME], with every file once"
        )
    needed = options.partition_epoch
    if corpus.num_epochs < needed:
        stored = counted(corpus.num_epochs, "epoch is", "epochs are")
        raise UsageError(
            f"{corpus.folder}: {stored} stored, but only {needed} "
            "(partition_epoch) hold every sequence; run `seqmill preprocess` with as many distinct_epochs"
        )
    return range(1, needed + 1)


def _batches(corpus: Corpus, epochs: range, num_done: int) -> Iterator[dict[str, Any]]:
    for epoch in epochs:
        num_batches = corpus.epoch(epoch).num_batches
        first, num_done = min(num_done, num_batches), max(0, num_done - num_batches)
        if first == num_batches:
            continue
        for batch in batches(corpus, epoch, tags=True, first_batch=first):
            for key in () if corpus.manifest.packed else corpus.manifest.data_keys:
                time_axis = np.arange(batch[key].shape[1])
                batch[f"{key}_mask"] = time_axis < batch[f"{key}_lengths"][:, None]
            yield batch


class _Lines:
    """Lines of batches, each under the sequence's row in the store."""

    def __init__(self) -> None:
        self.num_batches = self.num_bytes = 0
        self._lines: list[bytes] = []

    def add(self, batch: Mapping[str, Any], results: Any) -> None:
        """Adds the results of a batch. Raises SeqmillError."""
        tags: Sequence[str] = batch[SEQ_TAG]
        if not isinstance(results, list | tuple | np.ndarray) or len(results) != len(tags):
            found = f"{len(results)}" if hasattr(results, "__len__") else "no list"
            raise SeqmillError(
                f"predict returned a {type(results).__name__} ({found}) for a batch of "
                f"{counted(len(tags), 'sequence')} ({tags[0]} …); expected a list of one result each"
            )
        for row, tag, result in zip(batch[SEQ_INDEX].tolist(), tags, results, strict=True):
            line = b"%d\t%s\n" % (row, _encoded(tag, result))
            self._lines.append(line)
            self.num_bytes += len(line)
        self.num_batches += 1

    def content(self) -> bytes:
        """All lines."""
        return b"".join(self._lines)


def _encoded(tag: str, result: Any) -> bytes:
    try:
        text = json.dumps(
            {"seq_tag": tag, "prediction": result},
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=_plain,
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SeqmillError(
            f"predict returned something for {tag} that JSON cannot hold ({error}); expected finite numbers, "
            "strings, lists and dicts"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


class _Parts:
    """The parts of one run; those of another, and damaged ones, are removed.

    Attributes:
        batches_done: Batches whose lines are in the parts, from the first on.
    """

    def __init__(self, folder: str, run: Mapping[str, Any], say: Callable[[str], None]):
        self.batches_done = 0
        self._folder = folder
        self._paths: list[str] = []
        if not _is(files.join(folder, _RUN_NAME), run):
            self._remove(_part_names(folder))
            files.write_json(files.join(folder, _RUN_NAME), run)
        files.remove_temporaries(folder)
        names = _part_names(folder)
        for position, name in enumerate(names):
            first, end = (int(number) for number in _PART_NAME.fullmatch(name).groups())  # type: ignore[union-attr]
            path = files.join(folder, name)
            if first != self.batches_done or end <= first or not _is_whole(path):
                say(f"{path}: is damaged, and predicted again with what follows it")
                self._remove(names[position:])
                break
            self._paths.append(path)
            self.batches_done = end

    def write(self, lines: _Lines) -> None:
        """Adds a part."""
        end = self.batches_done + lines.num_batches
        path = files.join(self._folder, f"part-{self.batches_done:08d}-{end:08d}.jsonl")
        content = lines.content()
        with files.write_atomically(path) as file:
            file.write(_digest(content) + b"\n" + content)
        self._paths.append(path)
        self.batches_done = end

    def contents(self) -> list[np.ndarray]:
        """The lines of every part, uint8, mapped."""
        return [files.map_bytes(path)[33:] for path in self._paths]

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            files.remove(files.join(self._folder, name))


def _part_names(folder: str) -> list[str]:
    return [name for name in files.list_names(folder) if _PART_NAME.fullmatch(name)]


def _is(path: str, run: Mapping[str, Any]) -> bool:
    try:
        return bool(files.read_json(path) == orjson.loads(orjson.dumps(run)))
    except (SeqmillError, OSError):
        return False


def _is_whole(path: str) -> bool:
    try:
        content = files.read_bytes(path)
    except OSError:
        return False
    return content[:33] == _digest(content[33:]) + b"\n"


def _digest(content: bytes) -> bytes:
    return xxhash.xxh3_128_hexdigest(content).encode()


def _join(contents: Sequence[np.ndarray], path: str, corpus: Corpus, epochs: range) -> int:
    """Writes all lines by their rows in the store. Raises SeqmillError where one is missing or twice."""
    tables = [_index(part, content) for part, content in enumerate(contents)]
    found = np.concatenate([np.empty((0, 4), np.int64), *tables])
    found = found[np.argsort(found[:, 0], kind="stable")]
    expected = sum(corpus.epoch(epoch).num_seqs for epoch in epochs)
    num_twice = int((np.diff(found[:, 0]) == 0).sum())
    if len(found) != expected or expected != corpus.manifest.counts.kept or num_twice:
        raise SeqmillError(
            f"{corpus.folder}: predicted {counted(len(found), 'sequence')}, {num_twice:,} of them twice; the "
            f"manifest lists {expected} in these epochs and {corpus.manifest.counts.kept} in all"
        )
    check_replaceable(path)  # predicting may have taken hours
    with files.write_atomically(path) as file:
        for _, part, start, end in map(np.ndarray.tolist, found):
            file.write(contents[part][start:end].tobytes())
    return len(found)


def _index(part: int, content: np.ndarray) -> np.ndarray:
    """Row in the store, part, first byte and end of every line, [n, 4]."""
    ends = np.flatnonzero(content == 10) + 1
    table = np.empty((len(ends), 4), np.int64)
    start = 0
    for number, end in enumerate(ends.tolist()):
        row, _, _ = content[start : start + 20].tobytes().partition(b"\t")
        table[number] = int(row), part, start + len(row) + 1, end
        start = end
    return table
