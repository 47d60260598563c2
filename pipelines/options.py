"""The options of a configuration: names, types, defaults and help, and what a checked value is like.

Names and meaning come from RETURNN where it has them. A corpus may override the options in
``CorpusDefaults``; ``pipelines/config.py`` resolves what it inherits before anything is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from seqmill.pipelines.source_options import (
    MOST_SHARE,
    JoinedOptions,
    MixOptions,
    ReadingOptions,
)
from seqmill.pipelines.windows_options import WindowsOptions
from seqmill.trainer.options import TrainOptions
from seqmill.transforms.batches.corpus_epochs import CorpusEpochs
from seqmill.transforms.batches.per_epoch_options import ScheduleTable
from seqmill.transforms.features.data_keys import DataKey, why_no_name
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage.checked_options import did_you_mean, none_or, one_of, says_all, whole_number

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


class CorpusDefaults(CorpusEpochs, ReadingOptions):
    """Options that a corpus may override."""

    allow_damaged: bool = Field(False, description="take what is left of files that are cut short or broken")


class CorpusOptions(CorpusDefaults, JoinedOptions):
    """``[corpus.<name>]``: where a corpus comes from, and its options with all that it inherits."""

    name: str
    share: Annotated[int | None, BeforeValidator(none_or(whole_number(1, MOST_SHARE)))] = Field(
        None, description="where others are mixed: the share of the corpus' own files; default: 1"
    )
    mix: Mapping[str, MixOptions] = Field(
        default_factory=dict, description="tables: sources whose sequences are mixed in, each with its share"
    )

    @model_validator(mode="after")
    def _can_be_mixed(self) -> CorpusOptions:
        wrong = []
        if self.share is not None and not self.mix:
            wrong.append("share: there is nothing to share with; expected tables [corpus.train.mix.<name>]")
        if self.mix and self.name != TRAIN:
            wrong.append(f"mix: found it in corpus.{self.name}; only corpus.{TRAIN} is mixed")
        untagged = [name for name, source in self.mix.items() if source.seq_tag is None]
        if len(untagged) < len(self.mix) if self.seq_tag is None else untagged:
            without = f"corpus.{self.name}" if self.seq_tag is None else f"mix.{untagged[0]}"
            wrong.append(f"seq_tag: {without} has none; expected all that is mixed to have tags, or none")
        wrong += [f"mix: {text}" for name in self.mix if (text := why_no_name(name))]
        if self.name in self.mix:
            wrong.append(f"mix.{self.name}: is what the corpus' own files are called; expected another name")
        if wrong:
            raise says_all("\n".join(wrong))
        return self

    def epoch_options(self, seed: int) -> EpochOptions:
        """See ``CorpusEpochs``; with the shares of what is mixed."""
        options = super().epoch_options(seed)
        if not self.mix:
            return options
        others = {name: source.share for name, source in self.mix.items()}
        return replace(options, mix={self.name: self.share or 1, **others})


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
