"""A corpus of files before it is read: where it is cut into splits, and what its arrays will be like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from seqmill.transforms.features import Vocab
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import AUDIO_TYPES, DataKey
from seqmill.transforms.readers import FORMATS, ReadOptions, Split, get_field, open_split, split_corpus
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.store.encode_blocks import split_encoders

SPLIT_BYTES = 16_000_000
_MOST_SPLIT_BYTES = 256_000_000
_MANY_SPLITS = 1 << 15
_SPLIT_BYTES_OF_PATHS = 2_000  # lines that name audio files: a dozen files a split, …
_MOST_SPLITS_OF_PATHS = 2_000  # … more where there are many
_PROBED_SEQS = 100


def split_for_keys(
    format: str,
    inputs: Sequence[str] | Mapping[str, Sequence[str]],
    keys: Sequence[DataKey],
    seq_tag: str | None,
    reading: ReadOptions,
    sizes: Mapping[str, int],
) -> list[Split]:
    """Cuts a corpus into splits that each are some seconds of work.

    Args:
        format: Its format.
        inputs: Paths in corpus order; for ``text`` such a list per field.
        keys: The data keys that will be read.
        seq_tag: Field that holds a sequence's tag; None for default tags.
        reading: How the files are read.
        sizes: Bytes of every file.
    """
    paths = next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs
    total, form = sum(sizes[path] for path in paths), FORMATS[format]
    target = split_bytes(total)
    if form.names_files or (any(key.type in AUDIO_TYPES for key in keys) and not form.holds_values):
        target = max(_SPLIT_BYTES_OF_PATHS, total // _MOST_SPLITS_OF_PATHS)
    fields = [key.field for key in keys] + ([seq_tag] if seq_tag else [])
    return split_corpus(format, inputs, target, reading, fields)


def split_bytes(total: int) -> int:
    """About how many bytes of a corpus one split has: more of a large one, so that splits are not too many.

    In steps, so that a corpus that grows is seldom split otherwise, which would ingest all of it again.

    >>> from seqmill.transforms.store.corpus_splits import split_bytes
    >>> split_bytes(10**9), split_bytes(10**12), split_bytes(10**14)
    (16000000, 32000000, 256000000)
    """
    size = SPLIT_BYTES
    while size < _MOST_SPLIT_BYTES and total > _MANY_SPLITS * size:
        size *= 2
    return size


def array_specs(
    keys: Sequence[DataKey], splits: Sequence[Split], vocabs: Mapping[str, Vocab]
) -> dict[str, ArraySpec]:
    """What the arrays are like; shapes of ``floats`` are those of most of the corpus' first sequences.

    Args:
        keys: The data keys.
        splits: The corpus.
        vocabs: Vocabularies by data key.
    """
    plain = [replace(key, normalization=None) for key in keys]  # which changes no shape
    encoders = split_encoders(splits[0], plain, vocabs, None)
    unknown = [key for key in plain if encoders[key.name].feature_shape is None]
    probed = _probe_shapes(unknown, splits) if unknown else {}
    specs = {}
    for key in keys:
        shape = encoders[key.name].feature_shape
        if shape is None:
            shape = probed[key.name]
        vocab = output_folder.vocab_name(key.labels_of) if key.name in vocabs else None
        num_labels = len(vocabs[key.name]) if key.name in vocabs else encoders[key.name].num_labels
        norm = output_folder.norm_name(key.name) if key.has_statistics else None
        specs[key.name] = ArraySpec(
            key.type, key.elements, shape, num_labels, vocab, key.processing, norm, encoders[key.name].pad
        )
    return specs


def _probe_shapes(keys: Sequence[DataKey], splits: Sequence[Split]) -> dict[str, tuple[int, ...]]:
    """The shape of most of the first sequences, per data key; as many splits are looked into as it takes."""
    shapes: dict[str, Counter[tuple[int, ...]]] = {key.name: Counter() for key in keys}
    for split in splits:
        open_keys = [key for key in keys if not shapes[key.name]]
        if not open_keys:
            break
        encoders = split_encoders(split, open_keys, {}, None)
        for _, record in islice(open_split(split, [key.field for key in open_keys]), _PROBED_SEQS):
            if not isinstance(record, RejectedSequence):
                for key in open_keys:
                    with suppress(RejectedSequence):
                        array = encoders[key.name].encode(get_field(record, key.field))
                        shapes[key.name][array.shape[1:]] += 1
    return {key: found.most_common(1)[0][0] if found else () for key, found in shapes.items()}
