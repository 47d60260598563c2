"""The options of a configuration: names, types, defaults and help, and what a checked value is like.

Names and meaning come from RETURNN where it has them. A corpus may override the options in
``CorpusDefaults``; ``pipelines/config.py`` resolves what it inherits before anything is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from seqmill.pipelines.windows_options import WindowsOptions
from seqmill.trainer.options import TrainOptions
from seqmill.transforms.batches.corpus_epochs import CorpusEpochs
from seqmill.transforms.batches.per_epoch_options import Count, ScheduleTable, is_no_text
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.readers import FORMATS, TagLists
from seqmill.transforms.storage.checked_options import did_you_mean, none_or, one_of

TRAIN = "train"
TRAINING_ONLY = (
    "seq_ordering",
    "chunking",
    "min_chunk_size",
    "partition_epoch",
    "distinct_epochs",
    "num_seqs",
)
"""What shapes training epochs: corpora other than ``train`` do not inherit it."""


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


class CorpusDefaults(CorpusEpochs):
    """Options that a corpus may override."""

    allow_damaged: bool = Field(False, description="take what is left of files that are cut short or broken")
    max_record_size: Count = Field(256_000_000, description="reject larger records (bytes)")
    quoting: bool | None = Field(
        None, description="whether quotes enclose fields; default: true for csv, false for tsv"
    )
    audio_root: Annotated[str | None, BeforeValidator(none_or(_text, is_no_text))] = Field(
        None, description="folder that audio paths start from; default: that of the file that names them"
    )
    seq_tag: Annotated[str | None, BeforeValidator(none_or(_text, is_no_text))] = Field(
        None, description="field that holds a tag; default: the format's own, or <file name>:<position>"
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
    only_tags: Annotated[str | None, BeforeValidator(none_or(_text, is_no_text))] = Field(
        None, description="file with a tag a line: only these sequences are read"
    )
    not_tags: Annotated[str | None, BeforeValidator(none_or(_text, is_no_text))] = Field(
        None, description="file with a tag a line: these sequences are left out"
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
        if self.audio_root is not None and self.format == "librispeech":
            wrong.append("audio_root is no option of format librispeech, whose sound lies beside the text")
        for option, given in (("only_tags", self.only_tags), ("not_tags", self.not_tags)):
            if given is not None and self.seq_tag is None:
                wrong.append(f"{option} needs tags in the data: seq_tag = FIELD")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    @property
    def tag_lists(self) -> TagLists | None:
        """Which sequences are read; None for all."""
        if self.seq_tag is None or (self.only_tags is None and self.not_tags is None):
            return None
        return TagLists(self.seq_tag, self.only_tags, self.not_tags)


class Config(TrainOptions):
    """A whole configuration, checked and resolved: paths are absolute, corpora hold what they inherit."""

    output: str = Field(min_length=1, description="folder or URL that everything is written to")
    exchange: Annotated[str, BeforeValidator(one_of("gather", "shuffle"))] = Field(
        "gather",
        description="gather: workers read the store; shuffle: the runner's shuffle brings the sequences",
    )
    schedule: tuple[ScheduleTable, ...] = Field(
        (), description="tables [[schedule]]: options of train that some epochs have in place of the others"
    )
    windows: WindowsOptions = Field(
        WindowsOptions(), description="how files that arrive become windows: a table (interval, settle, ...)"
    )
    data: Mapping[str, DataKey]
    corpus: Mapping[str, CorpusOptions]

    @property
    def store_output(self) -> str:
        """The output that holds the stores and vocabularies."""
        return self.store or self.output

    def schedule_of(self, corpus: str) -> Schedule:
        """The epochs of a corpus and everything that decides each; others than train are written once."""
        options = self.corpus[corpus]
        if corpus != TRAIN:
            return options.schedule_for(self.seed, options.distinct_epochs or options.partition_epoch)
        return options.schedule_for(self.seed, self.num_epochs, self.schedule)

    def train_options(self) -> TrainOptions:
        """The options of training, which goes round in as many epochs as preprocess stores."""
        return self.model_copy(update={"distinct_epochs": self.corpus[TRAIN].distinct_epochs})


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
