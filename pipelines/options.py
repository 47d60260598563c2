"""The options of a configuration: names, types, defaults and help, and what a checked value is like.

Names and meaning come from RETURNN where it has them. A corpus may override the options in
``CorpusDefaults``; ``pipelines/config.py`` resolves what it inherits before anything is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from seqmill.trainer.options import DistinctEpochs, TrainOptions
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking, parse_chunking
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import Ordering, parse_ordering
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage.checked_options import (
    Options,
    did_you_mean,
    is_absence,
    none_or,
    one_of,
    says_all,
    whole_number,
)

TRAIN = "train"
TRAINING_ONLY = ("seq_ordering", "chunking", "min_chunk_size", "partition_epoch", "distinct_epochs")
"""What shapes training epochs: corpora other than ``train`` do not inherit it."""

_Check = Callable[[Any], Any]


def _per_key(check: _Check) -> Callable[[Any, ValidationInfo], dict[str, Any]]:
    """A validator of a value for every data key, or a table of them; absent ones are left out."""

    def normalise(value: Any, info: ValidationInfo) -> dict[str, Any]:
        if isinstance(value, dict):
            table = value
            if not table:
                raise ValueError("expected a value, or a table with one data key at least")
        else:
            table = dict.fromkeys((info.context or {}).get("data_keys", ()), value)
        for key in table:
            _known_key(key, info)
        try:
            values = {key: None if is_absence(one) else check(one) for key, one in table.items()}
        except ValueError as error:
            raise ValueError(f"{error}, or a table of such per data key") from None
        return {key: one for key, one in values.items() if one is not None}

    return normalise


def _known_key(key: Any, info: ValidationInfo) -> Any:
    known = (info.context or {}).get("data_keys", ())
    if known and key not in known:
        raise says_all(f"no data key {key!r}; expected {', '.join(known)}{did_you_mean(str(key), known)}")
    return key


def _chunking(value: Any) -> KeyChunking | None:
    if type(value) not in (str, int):
        raise ValueError('expected "size:step", "size", or 0 for off')
    size, step = parse_chunking(str(value))
    return KeyChunking(whole_number(1)(size), whole_number(1)(step)) if size else None


def _ordering(value: Any) -> Ordering:
    ordering = parse_ordering(value if isinstance(value, str) else repr(value))
    for number in (ordering.seed, ordering.bins, ordering.bin_size):
        if number is not None:
            whole_number(0)(number)
    return ordering


def _no_text(value: Any) -> bool:
    return value is False or value == "none"


def _text(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError('expected text, or "none"')
    return value


def _files(value: Any) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
    if isinstance(value, dict):
        value = {field: [paths] if isinstance(paths, str) else paths for field, paths in value.items()}
    lists = value.values() if isinstance(value, dict) else [value]
    if not all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in lists):
        raise ValueError('expected a list such as ["train.jsonl"], or for text a table { key = ["file"] }')
    if not lists or not all(lists) or not all(map(all, lists)):
        raise ValueError("expected at least one file, and no empty name")
    if isinstance(value, dict):
        return {field: tuple(paths) for field, paths in value.items()}
    return tuple(value)


PerKey = Annotated[Mapping[str, int], BeforeValidator(_per_key(whole_number(1)))]
Chunked = Annotated[Mapping[str, KeyChunking], BeforeValidator(_per_key(_chunking))]
Count = Annotated[int, BeforeValidator(whole_number(1))]
CountOrNone = Annotated[int | None, BeforeValidator(none_or(whole_number(1)))]


class CorpusDefaults(Options):
    """Options that a corpus may override."""

    batch_size: PerKey = Field(
        default_factory=dict,
        description="most frames of a batch, longest sequence x sequences: a number, or a table per key",
    )
    max_seqs: CountOrNone = Field(None, description="most sequences of a batch")
    max_seq_length: PerKey = Field(
        default_factory=dict, description="drop longer sequences: a number, or a table per key"
    )
    min_seq_length: PerKey = Field(default_factory=dict, description="drop shorter sequences, likewise")
    seq_ordering: Annotated[Ordering, BeforeValidator(_ordering)] = Field(
        Ordering("default"),
        description="default, reverse, random[:seed], sorted, sorted_reverse, laplace[:bins|:.seqs per bin]",
    )
    length_key: Annotated[str, AfterValidator(_known_key)] = Field(
        "", description="data key whose length orders; default: the first"
    )
    chunking: Chunked = Field(
        default_factory=dict, description='"size:step", "size", or 0 for off; or a table per key'
    )
    min_chunk_size: PerKey = Field(
        default_factory=dict,
        description="no later chunk with at most this many frames left; a number, or a table per key",
    )
    partition_epoch: Count = Field(1, description="an epoch is one part in so many of the full order")
    fixed_random_seed: Annotated[int | None, BeforeValidator(none_or(whole_number(0), _no_text))] = Field(
        None, description="one permutation for all epochs"
    )
    packed: bool = Field(False, description="sequences of a batch lie behind one another, without padding")
    distinct_epochs: DistinctEpochs = None
    num_shards: CountOrNone = Field(None, description="files per epoch; default: by shard_size")
    shard_size: Count = Field(128_000_000, description="bytes per file, roughly")
    max_rejected: float = Field(0.01, ge=0, le=1, description="largest share of bad records")
    allow_damaged: bool = Field(False, description="take what is left of files that are cut short or broken")
    max_record_size: Count = Field(256_000_000, description="reject larger records (bytes)")
    quoting: bool | None = Field(
        None, description="whether quotes enclose fields; default: true for csv, false for tsv"
    )
    audio_root: Annotated[str | None, BeforeValidator(none_or(_text, _no_text))] = Field(
        None, description="folder that audio paths start from; default: that of the file that names them"
    )
    seq_tag: Annotated[str | None, BeforeValidator(none_or(_text, _no_text))] = Field(
        None, description="field that holds a tag; default: <file name>:<position>"
    )


class CorpusOptions(CorpusDefaults):
    """``[corpus.<name>]``: where a corpus comes from, and its options with all that it inherits."""

    name: str
    format: Annotated[str, BeforeValidator(one_of(*FORMATS))] = Field(
        description=f"one of {', '.join(FORMATS)}"
    )
    files: Annotated[tuple[str, ...] | Mapping[str, tuple[str, ...]], BeforeValidator(_files)] = Field(
        description="files or patterns; for text a table with one list (or one file) per data key"
    )

    @model_validator(mode="after")
    def _fit_each_other(self, info: ValidationInfo) -> CorpusOptions:
        wrong = []
        fields = (info.context or {}).get("fields")
        if (self.format == "text") != isinstance(self.files, Mapping):
            expected = "a table { key = [files] }" if self.format == "text" else "a list of files"
            wrong.append(f"files: format {self.format} expects {expected}")
        elif isinstance(self.files, Mapping) and fields and set(self.files) != set(fields):
            wrong.append(
                f"files: found files for {', '.join(self.files)}; expected them for the fields of the data "
                f"keys, {', '.join(fields)}"
            )
        if self.quoting is not None and self.format not in ("csv", "tsv"):
            wrong.append(f"quoting is an option of formats csv and tsv, not of {self.format}")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class Config(TrainOptions):
    """A whole configuration, checked and resolved: paths are absolute, corpora hold what they inherit."""

    output: str = Field(min_length=1, description="folder or URL that everything is written to")
    exchange: Annotated[str, BeforeValidator(one_of("gather", "shuffle"))] = Field(
        "gather",
        description="gather: workers read the store; shuffle: the runner's shuffle brings the sequences",
    )
    data: Mapping[str, DataKey]
    corpus: Mapping[str, CorpusOptions]

    @property
    def store_output(self) -> str:
        """The output that holds the stores and vocabularies."""
        return self.store or self.output

    def epoch_options(self, corpus: str) -> EpochOptions:
        """Everything that decides the epochs of a corpus."""
        options = self.corpus[corpus]
        least = options.min_chunk_size
        return EpochOptions(
            ordering=options.seq_ordering,
            length_key=options.length_key,
            length_limits=LengthLimits(options.max_seq_length, options.min_seq_length),
            chunking={k: replace(rule, min_size=least.get(k, 0)) for k, rule in options.chunking.items()},
            batch_limits=BatchLimits(options.batch_size, options.max_seqs, options.packed),
            seed=self.seed,
            fixed_random_seed=options.fixed_random_seed,
            partition_epoch=options.partition_epoch,
            num_epochs=self._num_stored(options),
            num_shards=options.num_shards,
            shard_size=options.shard_size,
        )

    def train_options(self) -> TrainOptions:
        """The options of training, which goes round in as many epochs as preprocess stores."""
        num_stored = self.epoch_options(TRAIN).num_epochs
        return self.model_copy(
            update={"distinct_epochs": None if num_stored == self.num_epochs else num_stored}
        )

    def _num_stored(self, options: CorpusOptions) -> int:
        """Epochs to write: as many as differ, at most those asked for; others than train once."""
        if options.name != TRAIN:
            return options.distinct_epochs or options.partition_epoch
        changes = options.seq_ordering.is_random and options.fixed_random_seed is None
        distinct = self.num_epochs if changes else min(self.num_epochs, options.partition_epoch)
        return min(options.distinct_epochs or distinct, self.num_epochs)


def nearly_train(corpora: Iterable[str]) -> str:
    """For a message that there is no ``corpus.train``: which corpus may be meant to be it, or nothing.

    >>> nearly_train(["training", "dev"])
    '; did you mean [corpus.train] by [corpus.training]?'
    """
    return next(
        (
            f"; did you mean [corpus.{TRAIN}] by [corpus.{name}]?"
            for name in corpora
            if did_you_mean(name, [TRAIN])
        ),
        "",
    )
