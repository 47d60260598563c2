"""``seqmill show``: batches in readable form, labels turned back into text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from rich.console import Console

from seqmill.pipelines.corpus_folders import corpus_folders
from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.batches.read_batches import read_epoch, read_shard
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.vocab import decode_labels, read_vocab
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import map_checked
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.output_folder import epoch_name
from seqmill.transforms.storage.ranges import numbered
from seqmill.transforms.storage.terminal import printable

_SHOWN_FRAMES = 6
_SHOWN_CHARACTERS = 200


def show(path: str, epoch: int, first_batch: int, num_batches: int, num_seqs: int) -> None:
    """Prints batches.

    Args:
        path: A corpus' folder of epochs, an output folder (all its corpora), or one shard.
        epoch: The epoch to show, where ``path`` is a folder.
        first_batch: The first batch to show, from 0 in the epoch or the file.
        num_batches: How many batches.
        num_seqs: How many sequences of each.

    Raises:
        SeqmillError: There is nothing readable at ``path``; UsageError: no such epoch or batch in it.
    """
    for name, number, least in (
        ("batch", first_batch, 0),
        ("num_batches", num_batches, 1),
        ("num_seqs", num_seqs, 0),
    ):
        if number < least:
            raise UsageError(f"--{name}: found {number}; expected a number of at least {least}")
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    for folder, batches in _sources(path, epoch, first_batch):
        content = manifest.read(folder)
        vocabs = _vocabs(folder, content)
        for batch in islice(batches, num_batches):
            console.print(printable(_headline(content, batch)))
            for row in range(min(num_seqs, len(batch.seq_tags))):
                console.print(_sequence(content, vocabs, batch, row))
            if len(batch.seq_tags) > num_seqs:
                console.print(f"  … and {len(batch.seq_tags) - num_seqs} more")


def _sources(path: str, epoch: int, first_batch: int) -> Iterator[tuple[str, Iterator[PaddedBatch]]]:
    if path.endswith(".tfrecord"):
        if not files.exists(path):
            raise UsageError(f"{path}: no such file")
        folder = files.parent(files.parent(path))
        content = manifest.read(folder)
        name = f"{files.name(files.parent(path))}/{files.name(path)}"
        entry = next((e for e in content.epochs if name.startswith(f"{epoch_name(e.epoch)}/")), None)
        shards = epoch_manifest.read(folder, content, entry).shards if entry else ()
        shard = next((shard for shard in shards if shard.file == name), None)
        if shard is None:
            raise SeqmillError(f"{path}: no manifest in {folder} names it")
        if first_batch >= shard.num_batches:
            raise UsageError(f"{path}: no batch {first_batch}; it has {shard.num_batches}")
        yield folder, islice(read_shard(folder, content, shard), first_batch, None)
        return
    contents = {folder: manifest.read(folder) for folder in corpus_folders(path)}
    entries = [
        (folder, entry)
        for folder, content in contents.items()
        for entry in content.epochs
        if entry.epoch == epoch
    ]
    if not entries:
        numbers = {content.corpus: [one.epoch for one in content.epochs] for content in contents.values()}
        there = (f"{corpus} has {numbered('epoch', found)}" for corpus, found in numbers.items())
        raise UsageError(f"{path}: no epoch {epoch}; {', '.join(there)}")
    if all(entry.num_batches <= first_batch for _, entry in entries):
        there = (f"{contents[folder].corpus} has {entry.num_batches}" for folder, entry in entries)
        raise UsageError(f"{path}: no batch {first_batch} in epoch {epoch}; {', '.join(there)}, from 0")
    for folder, entry in entries:
        if entry.num_batches > first_batch:
            yield folder, read_epoch(folder, contents[folder], entry, first_batch)


def _vocabs(folder: str, content: Manifest) -> dict[str, tuple[str, ...]]:
    """The labels of the keys that have some. Raises SeqmillError where they are not what was written."""
    labels = {}
    for key, spec in content.data_keys.items():
        if spec.vocab is not None:
            path = files.inside(folder, spec.vocab)
            map_checked(path, content.others[spec.vocab])
            labels[key] = read_vocab(path).labels
    return labels


def _headline(content: Manifest, batch: PaddedBatch) -> str:
    shapes = []
    for key, array in batch.arrays.items():
        padding = 1 - batch.lengths[key].sum() / max(batch.num_frames(key), 1)
        shapes.append(f"{key} {list(array.shape)} {array.dtype.name}, {padding:.1%} padding")
    return f"{content.corpus} batch {batch.batch_index}: {'; '.join(shapes)}"


def _sequence(content: Manifest, vocabs: dict[str, tuple[str, ...]], batch: PaddedBatch, row: int) -> str:
    text = f"  {_one_line(batch.seq_tags[row].decode(errors='replace'))} (row {batch.seq_index[row]}"
    text += f", frame {batch.chunk_start[row]})" if batch.chunk_start[row] else ")"
    for key, spec in content.data_keys.items():
        frames = batch.sequence(key, row)
        text += f"\n    {key} [{len(frames)}] {_readable(spec, vocabs.get(key), frames)}"
    return text


def _readable(spec: ArraySpec, labels: tuple[str, ...] | None, array: np.ndarray) -> str:
    if labels is not None:
        text = decode_labels(labels, array.tolist(), spec.type)
    elif spec.type == "bytes":
        text = array.tobytes().decode(errors="replace")
    else:
        flat = array.reshape(-1)
        numbers = " ".join(f"{number:.4g}" for number in flat[:_SHOWN_FRAMES].tolist())
        more = " …" if len(flat) > _SHOWN_FRAMES else ""
        return f"{numbers}{more} (min {array.min():.4g}, mean {array.mean():.4g}, max {array.max():.4g})"
    shortened = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return _one_line(shortened)


def _one_line(text: str) -> str:
    return printable(text.replace("\n", "\\n"))
