"""From a checked configuration to what the transforms take: data keys, files, folders, epoch options."""

from __future__ import annotations

from typing import Any

from seqmill.pipelines.config import corpus_defaults
from seqmill.pipelines.options import TRAIN, Config
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking, parse_chunking
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import UsageError


def data_keys(config: Config) -> tuple[DataKey, ...]:
    """The data keys in the configuration's order."""
    return tuple(
        DataKey(**{"name": name, **options.model_dump(), "field": options.field or name})
        for name, options in config.data.items()
    )


def store_folder(config: Config, corpus: str) -> str:
    """Where the corpus' sequence store is."""
    return output_folder.store_folder(config.output, corpus)


def epochs_folder(config: Config, corpus: str) -> str:
    """Where the corpus' epochs are."""
    return output_folder.epochs_folder(config.output, corpus)


def vocab_folder(config: Config) -> str:
    """Where counted vocabularies are."""
    return output_folder.counted_vocab_folder(config.output)


def input_files(config: Config) -> dict[str, list[str] | dict[str, list[str]]]:
    """Per corpus its input files, patterns expanded (for text: per data key).

    Raises:
        UsageError: Names every file that is missing and every pattern that matches nothing.
    """
    problems: list[str] = []
    found: dict[str, list[str] | dict[str, list[str]]] = {}
    for name, corpus in config.corpus.items():
        where = f"corpus.{name}.files"
        if isinstance(corpus.files, dict):
            by_field = {
                field: _expand(f"{where}.{field}", [given] if isinstance(given, str) else given, problems)
                for field, given in corpus.files.items()
            }
            if len({len(paths) for paths in by_field.values()}) > 1:
                numbers = ", ".join(f"{len(paths)} for {field}" for field, paths in by_field.items())
                problems.append(f"{where}: expected as many files for every key, found {numbers}")
            found[name] = by_field
        else:
            found[name] = _expand(where, corpus.files, problems)
    if problems:
        raise UsageError("\n  ".join(["input files:", *problems]))
    return found


def epoch_options(config: Config, corpus: str) -> EpochOptions:
    """Everything that decides the epochs of a corpus."""
    options = corpus_defaults(config, corpus)
    keys = list(config.data)
    ordering = parse_ordering(options["seq_ordering"])
    return EpochOptions(
        ordering=ordering,
        length_key=options["length_key"] or keys[0],
        length_limits=LengthLimits(
            _per_key(options["max_seq_length"], keys), _per_key(options["min_seq_length"], keys)
        ),
        chunking=_chunking(options["chunking"], options["min_chunk_size"], keys),
        batch_limits=BatchLimits(_per_key(options["batch_size"], keys), options["max_seqs"]),
        seed=config.seed,
        fixed_random_seed=options["fixed_random_seed"],
        partition_epoch=options["partition_epoch"],
        num_epochs=_num_stored(config, corpus, options, ordering.is_random),
        num_shards=options["num_shards"],
        shard_size=options["shard_size"],
    )


def _num_stored(config: Config, corpus: str, options: dict[str, Any], is_random: bool) -> int:
    """Epochs to write: as many as differ, at most those asked for; others than train once."""
    if corpus != TRAIN:
        return options["distinct_epochs"] or options["partition_epoch"]
    changes = is_random and options["fixed_random_seed"] is None
    distinct = config.num_epochs if changes else min(config.num_epochs, options["partition_epoch"])
    return min(options["distinct_epochs"] or distinct, config.num_epochs)


def _per_key(value: Any, keys: list[str]) -> dict[str, int]:
    if isinstance(value, dict):
        return dict(value)
    return {} if value is None else dict.fromkeys(keys, value)


def _chunking(value: Any, min_sizes: Any, keys: list[str]) -> dict[str, KeyChunking]:
    texts = value if isinstance(value, dict) else dict.fromkeys(keys, value)
    least = _per_key(min_sizes, keys)
    rules = {}
    for key, text in texts.items():
        size, step = parse_chunking(str(text))
        if size:
            rules[key] = KeyChunking(size, step, least.get(key, 0))
    return rules


def _expand(where: str, patterns: list[str], problems: list[str]) -> list[str]:
    paths = []
    for pattern in patterns:
        matches = files.expand(pattern)
        if not matches:
            what = "no file matches" if files.has_wildcard(pattern) else "no such file"
            problems.append(f"{where}: {pattern}: {what}")
        paths += matches
    return paths
