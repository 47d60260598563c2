"""Tasks that read splits, each with a fingerprint of all that decides its bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

from seqmill.pipelines.scan import Scanned
from seqmill.transforms.features import CODE_VERSIONS as ENCODER_VERSIONS
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.normalized_frames import CODE_VERSION as NORMALIZED_VERSION
from seqmill.transforms.features.sentence_pieces import is_sentencepiece
from seqmill.transforms.features.small_elements import CODE_VERSION as SMALL_VERSION
from seqmill.transforms.readers import FORMATS, Split
from seqmill.transforms.storage import files
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.storage.library_versions import library_versions
from seqmill.transforms.store.ingest import IngestTask


def tasks_of_splits(
    scanned: Scanned, splits: list[Split], decisive: object, which: slice = slice(None)
) -> list[IngestTask]:
    """A task per split, or of some, with a fingerprint of its input and what else decides its bytes."""
    contents = {path: scanned.hashes.of(path) for split in splits[which] for _, path in split.files}
    sizes = scanned.sizes
    tasks = []
    for index, split in [*enumerate(splits)][which]:
        inputs = [(key, files.name(path), contents[path]) for key, path in split.files]
        ends = [
            sizes[path] if end is None or not FORMATS[split.format].is_cut_by_bytes else end
            for (_, path), end in zip(split.files, split.ends, strict=True)
        ]
        starts = split.starts if FORMATS[split.format].is_cut_by_bytes else [0] * len(ends)
        work = max(1, sum(ends) - sum(starts))
        reader = (split.format, FORMATS[split.format].version, vars(split.options), split.lists)
        content: tuple[object, ...] = (index, reader, inputs, split.starts, split.ends, split.columns)
        if (split.seq_tag, split.audio_root) != (splits[0].seq_tag, splits[0].audio_root):
            content = (*content, split.seq_tag, root_beside([split]))
        if split.tags is not None:
            lists = [
                None if path is None else scanned.hashes.of(path)
                for path in (split.tags.only, split.tags.others)
            ]
            content = (*content, split.tags.field, lists)
        tasks.append(IngestTask(index, split, fingerprint(content, decisive), work))
    return tasks


def other_fields(scanned: Scanned, keys: Sequence[DataKey]) -> dict[str, str]:
    """The fields of data keys of a source that are not those of the configuration."""
    data = scanned.config.data
    return {key.name: key.field for key in keys if key.field != data[key.name].field}


def decisive_of(key: DataKey, hashes: ContentHashes) -> object:
    """What of a data key decides the stored arrays: contents of files rather than their paths, versions."""
    digest = hashes.of(key.tokenizer) if key.tokenizer else None
    kind = "sentencepiece" if digest and _is_sentencepiece(str(key.tokenizer), digest) else key.type
    return (
        {k: value for k, value in key.decisive.items() if k not in ("vocab", "tokenizer", "dtype")},
        (key.dtype, SMALL_VERSION) if key.dtype else None,
        *([("normalized", NORMALIZED_VERSION)] if key.normalization else ()),
        digest,
        key.vocab if key.labels_of != key.name else key.vocab is not None,
        ENCODER_VERSIONS[kind],
        library_versions(kind),
    )


@lru_cache(maxsize=64)
def _is_sentencepiece(path: str, digest: str) -> bool:
    """``is_sentencepiece`` of a file that holds what the digest says."""
    return is_sentencepiece(path)


def root_beside(splits: list[Split]) -> str | None:
    """The ``audio_root`` as seen from the first input, so that it may move together with the corpus."""
    folder = splits[0].audio_root
    if folder is None or not files.is_local(folder) or not files.is_local(splits[0].source):
        return folder
    return os.path.relpath(folder, files.parent(splits[0].source))
