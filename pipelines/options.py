"""The options of a configuration: names, types, defaults and help, checked all at once.

Names and meaning come from RETURNN where it has them. A corpus may override the options in
``CorpusDefaults``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from seqmill.trainer.options import cleanup_policy
from seqmill.transforms.features.data_keys import AUDIO_TYPES, LABEL_TYPES, TYPES
from seqmill.transforms.planning.chunk import parse_chunking
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage.errors import UsageError

TRAIN = "train"

_RESERVED = ("seq_tag", "seq_index", "chunk_start", "batch_index", "position", "tag_size", "..", ".")


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return value

    return check


def _per_key(least: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        numbers = value.values() if isinstance(value, dict) else [value]
        if not all(type(number) is int and number >= least for number in numbers):
            raise ValueError(f"expected a whole number of at least {least}, or a table of them per data key")
        return value

    return check


def _ordering(value: Any) -> Any:
    parse_ordering(value if isinstance(value, str) else repr(value))
    return value


def _chunking(value: Any) -> Any:
    for text in value.values() if isinstance(value, dict) else [value]:
        if type(text) not in (str, int):
            raise ValueError('expected "size:step", "size", 0 for off, or a table of them per data key')
        parse_chunking(str(text))
    return value


def _files(value: Any) -> Any:
    groups = value.values() if isinstance(value, dict) else [value]
    lists = [[group] if isinstance(group, str) and isinstance(value, dict) else group for group in groups]
    if not all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in lists):
        raise ValueError('expected a list such as ["train.jsonl"], or for text a table { key = ["file"] }')
    if not any(lists):
        raise ValueError("expected at least one file")
    return value


def _names(value: Any) -> Any:
    for name in value if isinstance(value, dict) else []:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or name in _RESERVED:
            raise ValueError(
                f"{name!r} cannot be a name; expected letters, digits, '_', '-' and '.', and none of "
                f"{', '.join(_RESERVED)}"
            )
    return value


def _start_epoch(value: Any) -> Any:
    if value != "auto" and not (type(value) is int and value >= 1):
        raise ValueError('expected "auto" or the number of an epoch')
    return value


def _cleanup(value: Any) -> Any:
    try:
        cleanup_policy(value)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return value


def _channel(value: Any) -> Any:
    if value is not None and value != "mean" and not (type(value) is int and value >= 0):
        raise ValueError('expected "mean" or the number of a channel, from 0')
    return value


PerKey = Annotated[Any, BeforeValidator(_per_key(1))]
PerKeyOrZero = Annotated[Any, BeforeValidator(_per_key(0))]
OrderingText = Annotated[Any, BeforeValidator(_ordering)]
ChunkingText = Annotated[Any, BeforeValidator(_chunking)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KeyOptions(_Options):
    """``[data.<key>]``: where a data key comes from."""

    field: str | None = Field(None, description="field of a record (dots reach inside); default: the key")
    type: Annotated[str, BeforeValidator(_one_of(TYPES))] = Field(description=f"one of {', '.join(TYPES)}")
    vocab: str | None = Field(None, description="file with one label a line; default: counted over train")
    tokenizer: str | None = Field(None, description="file of a Hugging Face tokenizer (subwords)")
    bos: bool = Field(False, description="put <s> before the labels")
    eos: bool = Field(False, description="put </s> after the labels")
    sample_rate: int = Field(16000, ge=1, description="Hz (audio, log_mel)")
    channel: Annotated[Any, BeforeValidator(_channel)] = Field(
        None, description='"mean" or a number from 0 (audio, log_mel); default: mean, or what a cut names'
    )
    offset: str | None = Field(
        None, description="field with the seconds before a record's part of a file, or none (audio, log_mel)"
    )
    duration: str | None = Field(
        None, description="field with the seconds of that part, or none (audio, log_mel)"
    )
    num_mel_bins: int = Field(80, ge=1, description="size of a frame (log_mel)")
    window: float = Field(0.025, gt=0, description="window in seconds (log_mel)")
    hop: float = Field(0.01, gt=0, description="distance of frames in seconds (log_mel)")

    @model_validator(mode="after")
    def _fits_type(self) -> KeyOptions:
        belongs = {
            "vocab": ("chars", "words", "ints"),
            "tokenizer": ("subwords",),
            "bos": LABEL_TYPES,
            "eos": LABEL_TYPES,
            "sample_rate": AUDIO_TYPES,
            "channel": AUDIO_TYPES,
            "offset": AUDIO_TYPES,
            "duration": AUDIO_TYPES,
            "num_mel_bins": ("log_mel",),
            "window": ("log_mel",),
            "hop": ("log_mel",),
        }
        for option, types in belongs.items():
            if option in self.model_fields_set and self.type not in types:
                raise ValueError(f"{option} is an option of type {' or '.join(types)}, not of {self.type}")
        if self.type == "subwords" and self.tokenizer is None:
            raise ValueError("type subwords needs tokenizer = FILE")
        return self


class CorpusDefaults(_Options):
    """Options that a corpus may override."""

    batch_size: PerKey = Field(
        None, description="most frames of a batch, longest sequence x sequences: a number, or a table per key"
    )
    max_seqs: int | None = Field(None, ge=1, description="most sequences of a batch")
    max_seq_length: PerKey = Field(None, description="drop longer sequences: a number, or a table per key")
    min_seq_length: PerKeyOrZero = Field(None, description="drop shorter sequences, likewise")
    seq_ordering: OrderingText = Field(
        "default",
        validation_alias=AliasChoices("seq_ordering", "batching"),
        description="default, reverse, random[:seed], sorted, sorted_reverse, laplace[:bins|:.seqs per bin]",
    )
    length_key: str | None = Field(None, description="data key whose length orders; default: the first")
    chunking: ChunkingText = Field(0, description='"size:step", "size", or 0 for off; or a table per key')
    min_chunk_size: PerKeyOrZero = Field(
        0, description="no later chunk with at most this many frames left; a number, or a table per key"
    )
    partition_epoch: int = Field(1, ge=1, description="an epoch is one part in so many of the full order")
    fixed_random_seed: int | None = Field(None, description="one permutation for all epochs")
    distinct_epochs: int | None = Field(None, ge=1, description="different epochs to write; default: all")
    num_shards: int | None = Field(None, ge=1, description="files per epoch; default: by shard_size")
    shard_size: int = Field(128_000_000, ge=1, description="bytes per file, roughly")
    max_rejected: float = Field(0.01, ge=0, le=1, description="largest share of bad records")
    allow_damaged: bool = Field(False, description="take what is left of files that are cut short or broken")
    max_record_size: int = Field(256_000_000, ge=1, description="reject larger records (bytes)")
    quoting: bool | None = Field(
        None, description="whether quotes enclose fields; default: true for csv, false for tsv"
    )
    audio_root: str | None = Field(
        None, description="folder that audio paths start from; default: that of the file that names them"
    )
    seq_tag: str | None = Field(None, description="field that holds a tag; default: <file name>:<position>")


class CorpusOptions(CorpusDefaults):
    """``[corpus.<name>]``: where a corpus comes from, and what differs for it."""

    format: Annotated[str, BeforeValidator(_one_of(FORMATS))] = Field(description=f"one of {FORMATS}")
    files: Annotated[Any, BeforeValidator(_files)] = Field(
        description="files or patterns; for text a table with one list (or one file) per data key"
    )

    @model_validator(mode="after")
    def _files_fit_format(self) -> CorpusOptions:
        if (self.format == "text") != isinstance(self.files, dict):
            expected = "a table { key = [files] }" if self.format == "text" else "a list of files"
            raise ValueError(f"files: format {self.format} expects {expected}")
        return self


class Config(CorpusDefaults):
    """A whole configuration."""

    output: str = Field(description="folder or URL that everything is written to")
    seed: int = Field(1, description="of all that is random")
    num_epochs: int = Field(1, ge=1, description="epochs to train")
    exchange: Annotated[str, BeforeValidator(_one_of(("gather", "shuffle")))] = Field(
        "gather",
        description="gather: workers read the store; shuffle: the runner's shuffle brings the sequences",
    )
    model: str | None = Field(None, description="FILE.py:FUNCTION that builds the model from a manifest")
    save_interval: int = Field(1, ge=1, description="epochs between checkpoints")
    start_epoch: Annotated[Any, BeforeValidator(_start_epoch)] = Field(
        "auto", description="auto, or the epoch to go on with"
    )
    cleanup_old_models: Annotated[Any, BeforeValidator(_cleanup)] = Field(
        False, description="true, or a table (keep_last_n, keep_best_n, keep)"
    )
    stop_on_nonfinite_train_score: bool = Field(True, description="stop at the first NaN or Inf loss")
    data: Annotated[dict[str, KeyOptions], BeforeValidator(_names)] = Field(
        min_length=1, description="data keys"
    )
    corpus: Annotated[dict[str, CorpusOptions], BeforeValidator(_names)] = Field(
        min_length=1, description="corpora"
    )

    @model_validator(mode="after")
    def _names_known_keys(self) -> Config:
        problems = _unknown_keys("", self, self.data)
        for name, corpus in self.corpus.items():
            problems += _unknown_keys(f"corpus.{name}.", corpus, self.data)
            if isinstance(corpus.files, dict) and set(corpus.files) != {
                options.field or key for key, options in self.data.items()
            }:
                problems.append(
                    f"corpus.{name}.files: has files for {', '.join(corpus.files)}; expected them for the "
                    f"fields of the data keys, {', '.join(o.field or k for k, o in self.data.items())}"
                )
            limits = (corpus.batch_size, corpus.max_seqs, self.batch_size, self.max_seqs)
            if all(limit is None for limit in limits):
                problems.append(f"corpus.{name}: expected batch_size or max_seqs, found neither")
        counted = [k for k, o in self.data.items() if o.type in ("chars", "words") and not o.vocab]
        if counted and TRAIN not in self.corpus:
            problems.append(f"data.{counted[0]}: expected vocab = FILE, as there is no corpus.train to count")
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _unknown_keys(where: str, options: CorpusDefaults, keys: dict[str, KeyOptions]) -> list[str]:
    problems = []
    for option in ("batch_size", "max_seq_length", "min_seq_length", "chunking", "min_chunk_size"):
        value = getattr(options, option)
        for key in value if isinstance(value, dict) else []:
            if key not in keys:
                problems.append(f"{where}{option}: no data key {key!r}; expected {', '.join(keys)}")
    if options.length_key is not None and options.length_key not in keys:
        problems.append(f"{where}length_key: no data key {options.length_key!r}; expected {', '.join(keys)}")
    return problems
