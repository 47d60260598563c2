"""Vocabularies and statistics that an earlier run has left, and that nothing names any more."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from seqmill.pipelines.options import Config
from seqmill.pipelines.vocab_files import vocab_paths
from seqmill.transforms.features import Vocab
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.norm import GivenNorm
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, is_intact
from seqmill.transforms.store.count_folder import CountFolder
from seqmill.transforms.store.count_frames import frame_counts
from seqmill.transforms.store.count_labels import label_counts


def remove_stale(
    config: Config, folder: str, written: Mapping[str, Checksum], named: Collection[str]
) -> None:
    """Removes files of data keys that a manifest names and the one to come will not.

    What has changed since it was written stays, and so does what the configuration itself names.

    Args:
        config: The configuration.
        folder: Where they are: that of a store or of epochs, or the output itself.
        written: The files that the manifest names, with what was written.
        named: The names of those that belong there now.
    """
    given = {_real(path) for path in _given(config)}
    for name, expected in written.items():
        path = files.inside(folder, name)
        is_stale = output_folder.is_of_data_key(name) and name not in named and _real(path) not in given
        if is_stale and is_intact(path, expected, fresh=True):
            files.remove_file(path)
            _remove_empty(files.parent(path))


def files_of(data_keys: Mapping[str, ArraySpec]) -> set[str]:
    """The names of the files that belong to arrays, beside a store or epochs."""
    return {name for spec in data_keys.values() for name in spec.files}


def remove_uncounted(config: Config, written: Mapping[str, Checksum], declared: Mapping[str, Vocab]) -> None:
    """``remove_stale`` of the files that were counted or listed in the output, and of the counts."""
    output, keys = config.output, [*config.data.values()]
    listed = output_folder.counted_vocab_folder(output)
    paths = vocab_paths(config, declared)
    named = {
        output_folder.vocab_name(key.labels_of)
        for key in keys
        if files.parent(paths.get(key.name, "")) == listed
    }
    named |= {output_folder.norm_name(key.name) for key in keys if key.has_counted_norm}
    remove_stale(config, output, written, named)
    if not any(key.has_counted_vocab for key in keys):
        _remove_counts(label_counts(listed))
    if not any(key.has_counted_norm for key in keys):
        _remove_counts(frame_counts(output_folder.counted_norm_folder(output)))


def _remove_counts(counts: CountFolder) -> None:
    files.remove_file(counts.summary_path)
    files.remove(output_folder.receipts_folder(counts.folder))
    _remove_empty(counts.folder)


def _given(config: Config) -> Iterator[str]:
    """Files that the data keys of a configuration name."""
    for key in config.data.values():
        norm = key.normalization
        parts = (norm.mean, norm.stddev) if isinstance(norm, GivenNorm) else (norm,)
        yield from (path for path in (key.vocab, key.tokenizer, *parts) if isinstance(path, str))


def _real(path: str) -> str:
    return os.path.realpath(path) if files.is_local(path) else path


def _remove_empty(folder: str) -> None:
    if files.is_local(folder):
        with suppress(OSError):
            Path(folder).rmdir()
