"""Which labels there are, and how often."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqmill.pipelines.report.drawing import lines
from seqmill.pipelines.report.page import Section, Text, cut, pair, table
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.special_labels import BOS, EOS, PAD, UNK
from seqmill.transforms.features.vocab import read_vocab
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import map_checked
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.sequence_store import Store

_MOST_COUNTED = 100_000_000
_SHOWN = 20
_MOST_POINTS = 200
_MOST_CHARACTERS = 60


def sections(store: Store) -> Iterator[Section]:
    """A section for each data key of a store that has labels."""
    for key, spec in store.data_keys.items():
        if spec.vocab is not None:
            yield _section(store, key, labels_of(store, key))


def labels_of(store: Store, key: str) -> tuple[str, ...]:
    """The labels of a data key by id. Raises SeqmillError where they are not what was written."""
    spec = store.data_keys[key]
    assert spec.vocab is not None
    path = files.inside(store.folder, spec.vocab)
    map_checked(path, store.manifest.others[spec.vocab])
    return read_vocab(path).labels


def _section(store: Store, key: str, labels: tuple[str, ...]) -> Section:
    counts, share = _count(store, key, len(labels))
    total = max(int(counts.sum()), 1)
    order = np.argsort(-counts, kind="stable")
    rarest = [
        number for number in order[::-1].tolist() if not is_special(labels[number], store.data_keys[key])
    ]
    seen = int(np.count_nonzero(counts))
    unknown = store.manifest.counts.unknown.get(key, 0)
    ranks = np.unique(np.geomspace(1, max(seen, 1), _MOST_POINTS).astype(np.int64))
    falling = counts[order]
    sample = "" if share == 1 else f" Counted on {share:.1%} of the store, spread over it."
    frames = int(store.lengths[key].sum(dtype=np.int64))
    return Section(
        f"Labels of {key}",
        f"{counted(len(labels), 'label')}, of which {seen:,} occur in {store.manifest.corpus}; {unknown:,} "
        f"({unknown / max(frames, 1):.2%}) of its labels are not in the vocabulary.{sample} What changes it: "
        "`vocab`, `max_labels`, `min_count`, `normalize`.",
        (
            lines(
                {"labels": (ranks.tolist(), falling[ranks - 1].tolist())},
                "rank",
                "times",
                is_log=True,
            )
            if seen
            else "",
            pair(
                _table("most frequent", labels, counts, total, order[: min(_SHOWN, seen)].tolist()),
                _table("rarest", labels, counts, total, rarest[:_SHOWN]),
            ),
        ),
    )


def is_special(label: str, spec: ArraySpec) -> bool:
    """Whether a label stands in a vocabulary for what it is for, however rare it is.

    >>> is_special("<unk>", ArraySpec("words", "<i4", ())), is_special("a", ArraySpec("words", "<i4", ()))
    (True, False)
    """
    return label in (PAD, UNK, BOS, EOS) or label in map(spec.processing.get, ("pad", "unk", "bos", "eos"))


def _count(store: Store, key: str, num_labels: int) -> tuple[np.ndarray, float]:
    """How often each label occurs, int64 [num_labels], and the share of all blocks that was counted."""
    total = int(store.lengths[key].sum(dtype=np.int64))
    step = max(-(-total // _MOST_COUNTED), 1)
    counts = np.zeros(num_labels, np.int64)
    blocks = range(0, store.num_blocks, step)
    for number in blocks:
        ids = store.block(number).keys[key].elements
        counts += np.bincount(ids, minlength=num_labels)[:num_labels]
    return counts, len(blocks) / max(store.num_blocks, 1)


def _table(name: str, labels: tuple[str, ...], counts: np.ndarray, total: int, which: list[int]) -> str:
    rows = [
        [Text(_visible(labels[number]), is_label=True), int(counts[number]), f"{counts[number] / total:.3%}"]
        for number in which
    ]
    return table([Text(name), "times", "share"], rows)


def _visible(label: str) -> str:
    """A label, in quotes where space would not be seen."""
    return cut(label if label.split() == [label] else repr(label), _MOST_CHARACTERS)
