"""Trying data keys on a sample: lengths of sequences, sample rates of sound, what is rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from seqmill.pipelines.init.sample_records import Sample
from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.segment import Described, described_by
from seqmill.transforms.features.sound.decode import Decoder
from seqmill.transforms.features.sound.source import open_bytes, open_path
from seqmill.transforms.features.vocab import build_vocab, count_labels
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage.errors import RejectedSequence

_MOST_SOUNDS = 20
_MOST_FRAMES = 60_000  # of sound that is decoded to see how long it is
_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class Measured:
    """What a data key makes of a sample.

    Attributes:
        lengths: Of the sequences that it can use.
        rejected: Why others cannot be used.
    """

    lengths: Sequence[int]
    rejected: Sequence[str]


def measure(key: DataKey, sample: Sample, root: str) -> Measured:
    """Encodes the values of a field.

    Args:
        key: The data key.
        sample: The records.
        root: Folder that paths start from.

    Raises:
        SeqmillError: A package is missing.
    """
    values = _described(key, sample)
    vocab = None
    if key.has_counted_vocab:
        counts: Counter[str] = Counter()
        count_labels(key, list(values), counter=counts)
        vocab = build_vocab(counts, key)
    encoder = make_encoder(key, root, vocab, None, FORMATS[sample.format].is_text, _MOST_BYTES)
    is_sound = key.type in ("audio", "log_mel")
    lengths, rejected = [], []
    for value in values[: _MOST_SOUNDS if is_sound else None]:
        try:
            length = len(encoder.encode(value))
        except RejectedSequence as error:
            rejected.append(str(error))
            continue
        if length == 0:
            rejected.append("empty sequence")
            continue
        lengths.append(length)
        if is_sound and sum(lengths) > _MOST_FRAMES:
            break
    return Measured(lengths, rejected)


def sample_rates(values: Sequence[Any], root: str) -> Counter[int]:
    """How many of the first sound files have which rate; those that cannot be read are not counted.

    Raises:
        SeqmillError: A package is missing.
    """
    decoder = Decoder(_MOST_BYTES, 'type = "log_mel"')
    found: Counter[int] = Counter()

    def note(rate: int, num_samples: int) -> tuple[int, int]:
        found[rate] += 1
        return 0, min(1, num_samples)

    for value in values[:_MOST_SOUNDS]:
        content = value.get("bytes") if isinstance(value, Mapping) else value
        path = value.get("path") if isinstance(value, Mapping) else value
        with suppress(RejectedSequence, OSError):
            if isinstance(content, bytes):
                with open_bytes(content) as source:
                    decoder.decode(source, note)
            elif isinstance(path, str):
                with open_path(path, root) as source:
                    decoder.decode(source, note)
    return found


def _described(key: DataKey, sample: Sample) -> list[Any]:
    """The values of a key, each with what else of its record says what it means."""
    values = list(sample.fields[key.field])
    fields = {**sample.segments, **sample.fields}
    others = {name: fields[name] for name in described_by(key) if name in fields}
    whole = {name: column for name, column in others.items() if len(column) == len(values)}
    if not whole:
        return values
    return [
        Described(value, {name: column[index] for name, column in whole.items()})
        for index, value in enumerate(values)
    ]
