"""The input of a run: its files, what they hold, and their splits. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from seqmill.pipelines.input_files import Inputs, each_once, find_inputs
from seqmill.pipelines.options import Config
from seqmill.pipelines.sources import Source, sources_of
from seqmill.pipelines.vocab_files import declared_vocabs
from seqmill.transforms.features import Vocab
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.fairseq_dict import check_formats
from seqmill.transforms.readers import ReadOptions, Split, TagLists
from seqmill.transforms.storage import files
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.store.corpus_splits import split_for_keys


@dataclass(frozen=True)
class Scanned:
    """The input of a run, listed, measured and hashed once.

    Attributes:
        config: The configuration.
        splits: Per source its splits, each input file once.
        listed: Per source the numbers of its input files as they are listed, some of them several times.
        sizes: Bytes of every input file.
        hashes: What they hold.
        declared: Per data key the labels that the input itself declares for its numbers.
        data_keys: What the arrays must be like; None to find out.
    """

    config: Config
    splits: dict[str, list[Split]]
    listed: dict[str, tuple[int, ...]]
    sizes: dict[str, int]
    hashes: ContentHashes
    declared: dict[str, Vocab]
    data_keys: Mapping[str, ArraySpec] | None = None

    @cached_property
    def sources(self) -> dict[str, Source]:
        """All sources by name; those that a corpus is joined from come before it."""
        return sources_of(self.config)


def scan(config: Config, data_keys: Mapping[str, ArraySpec] | None = None) -> Scanned:
    """Finds the input of a run.

    Args:
        config: The configuration.
        data_keys: What the arrays must be like; None to find out.

    Raises:
        SeqmillError: A file is missing, or is not of its format at all.
    """
    sources, hashes = sources_of(config), ContentHashes()
    check_formats(config.data.values())
    with files.remembering():
        inputs, listed = {}, {}
        for name, found in find_inputs(config).items():
            inputs[name], listed[name] = each_once(found)
        paths = [path for found in inputs.values() for path in _all_paths(found)]
        sizes = {path: files.size(path) for path in dict.fromkeys(paths)}
        splits = {name: _split(sources[name], found, sizes) for name, found in inputs.items()}
        beside = [path for parts in splits.values() for split in parts for _, path in split.files]
        beside += [path for parts in splits.values() for path in _tag_files(parts[0].tags)]
        sizes.update({path: files.size(path) for path in dict.fromkeys(beside) if path not in sizes})
        hashes.of_all(sizes)
    return Scanned(config, splits, listed, sizes, hashes, declared_vocabs(sources, splits), data_keys)


def _split(source: Source, inputs: Inputs, sizes: dict[str, int]) -> list[Split]:
    options, keys = source.options, source.keys
    reading = ReadOptions(options.max_record_size, options.quoting)
    splits = split_for_keys(options.format, inputs, keys, options.seq_tag, reading, sizes)
    tags, root = options.tag_lists, options.audio_root
    return [replace(split, tags=tags, seq_tag=options.seq_tag, audio_root=root) for split in splits]


def _all_paths(inputs: Inputs) -> list[str]:
    return inputs if isinstance(inputs, list) else [path for paths in inputs.values() for path in paths]


def _tag_files(tags: TagLists | None) -> list[str]:
    """The files that list tags."""
    return [] if tags is None else [path for path in (tags.only, tags.others) if path is not None]
