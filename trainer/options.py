"""Options of training and of cleaning up, checked once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from seqmill.trainer.time_limit import seconds_of
from seqmill.transforms.batches.corpus_epochs import DistinctEpochs, Seed
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage.checked_options import (
    MOST,
    Options,
    is_absence,
    none_or,
    one_of,
    whole_number,
)
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.ranges import counted

ReadFrom = Literal["shards", "store"]

ENDLESS = MOST  # epochs of a training that follows a stream until something else ends it


@dataclass(frozen=True)
class CleanupPolicy:
    """Which checkpoints stay (RETURNN: ``cleanup_old_models``).

    Attributes:
        keep_last_n: The newest ones.
        keep_best_n: For each dev score the best ones.
        keep: Epochs that always stay.
        keep_best_by: The score that decides which are best: ``"dev.per"``, or ``"dev.accuracy:max"`` where
            higher is better. By default the loss on each corpus but ``train``.

    >>> CleanupPolicy(keep_last_n=3, keep=frozenset({10, 20})).keep_best_n
    4
    """

    keep_last_n: int = 2
    keep_best_n: int = 4
    keep: frozenset[int] = frozenset({20, 40, 80, 160, 240})
    keep_best_by: str | None = None

    @property
    def score(self) -> str | None:
        """``<corpus>.<score>`` of ``keep_best_by``."""
        return None if self.keep_best_by is None else self.keep_best_by.partition(":")[0]

    @property
    def score_name(self) -> str:
        """The score that decides, for people."""
        return self.score or "loss"

    @property
    def sign(self) -> int:
        """1 where lower is better, else -1."""
        return -1 if self.keep_best_by is not None and self.keep_best_by.endswith(":max") else 1

    def __post_init__(self) -> None:
        _check_int("cleanup_old_models.keep_last_n", self.keep_last_n, 1)
        _check_int("cleanup_old_models.keep_best_n", self.keep_best_n, 0)
        for epoch in self.keep:
            _check_int("cleanup_old_models.keep", epoch, 1)
        if self.keep_best_by is not None and not (
            isinstance(self.keep_best_by, str)
            and re.fullmatch(r"[^.:]+\.[^:]+(:(min|max))?", self.keep_best_by)
        ):
            raise UsageError(
                f"cleanup_old_models.keep_best_by: {self.keep_best_by!r}; expected <corpus>.<score>, such as "
                '"dev.per", or "dev.accuracy:max" where higher is better'
            )


def cleanup_policy(value: Any) -> CleanupPolicy | None:
    """The policy that option ``cleanup_old_models`` asks for; ``None`` where nothing is to be deleted.

    Args:
        value: ``False`` (or 0, ``"none"``), ``True`` (the defaults) or a table of ``CleanupPolicy``'s fields.

    Raises:
        UsageError: A name is unknown or a value unusable.
    """
    if value is None or isinstance(value, CleanupPolicy):
        return value
    if is_absence(value):
        return None
    if value is True:
        return CleanupPolicy()
    if not isinstance(value, Mapping):
        raise UsageError(f"cleanup_old_models: {value!r}; expected true, false or a table")
    known = [field.name for field in fields(CleanupPolicy)]
    for name in value:
        if name not in known:
            raise UsageError(f"cleanup_old_models.{name}: unknown; expected one of {', '.join(known)}")
    arguments = dict(value)
    if "keep" in arguments:
        if isinstance(arguments["keep"], str | int) or not hasattr(arguments["keep"], "__iter__"):
            raise UsageError(f"cleanup_old_models.keep: {arguments['keep']!r}; expected a list of epochs")
        arguments["keep"] = frozenset(arguments["keep"])
    return CleanupPolicy(**arguments)


def _cleanup(value: Any) -> CleanupPolicy | None:
    try:
        return cleanup_policy(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _number_or(word: str) -> Callable[[Any], Any]:
    """A validator of a whole number from 1, or the word."""

    def check(value: Any) -> Any:
        if value == word:
            return value
        try:
            return whole_number(1)(value)
        except ValueError as error:
            raise ValueError(f'{error} or "{word}"') from None

    return check


def _minutes(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError("expected a number of minutes above 0")
    return float(value)


def _folder(of: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, str) or not value:
            raise ValueError(f"expected the folder of {of}")
        return value

    return check


class TrainOptions(Options):
    """Options of ``seqmill train``; a configuration is one of these.

    Attributes:
        num_epochs: Epochs to train.
        model: ``FILE.py:function``; relative paths are the caller's to resolve.
        distinct_epochs: Stored epochs that training goes round in; ``None``: as the corpus was planned.
        epochs_ahead: Epochs are written beside the training, so many ahead of it, and deleted behind it: what
            is not there yet is waited for. ``None``: all are there before.
        follow_idle: Seconds (``"2h"``) without a new window of a stream, after which a training that follows
            it has come to its end; ``None``: it waits for ever.
        remove_windows: A training that follows a stream removes its windows, each when a checkpoint is behind
            it.
        save_interval: A checkpoint every so many epochs (and after the last).
        save_minutes: A checkpoint inside an epoch, too, so many minutes after the last one.
        stop_after: Seconds (``"3h50m"``) after which a training has saved and ended by itself, to go on when
            it is started again.
        start_epoch: ``"auto"``, where the newest checkpoint stands, or a number n, which needs the checkpoint
            of epoch n - 1.
        resume: ``"all"``, or ``"weights"``: the newest checkpoint's weights alone, with a fresh optimizer and
            fresh callbacks.
        read_from: ``"shards"``, or ``"store"``: the same batches, gathered from the store as they are needed.
        store: Another output, whose stores are used in place of one's own.
        init_from: A checkpoint's directory (path or URL), of another training perhaps, whose weights a new
            training begins with.
        cleanup_old_models: What ``cleanup_policy`` made of the option.
        stop_on_nonfinite_train_score: End training when the train score becomes NaN or infinite.
        devices: On how many devices of this process the model file's model is trained, or ``"all"``.
        seed: Of the initial weights and of all randomness while training.
    """

    seed: Seed = Field(1, description="of all that is random")
    num_epochs: Annotated[int, BeforeValidator(whole_number(1))] = Field(1, description="epochs to train")
    distinct_epochs: DistinctEpochs = None
    epochs_ahead: Annotated[int | None, BeforeValidator(none_or(whole_number(1)))] = Field(
        None, description="write so many epochs ahead of the training, beside it; default: all before it"
    )
    follow_idle: Annotated[float | None, BeforeValidator(none_or(seconds_of))] = Field(
        None, description='end train --follow when no window has come for so long, such as "2h"'
    )
    remove_windows: bool = Field(
        False,
        description="train --follow removes each window when a checkpoint is behind it",
    )
    model: str | None = Field(None, description="FILE.py:FUNCTION that builds the model from a manifest")
    save_interval: Annotated[int, BeforeValidator(whole_number(1))] = Field(
        1, description="epochs between checkpoints"
    )
    save_minutes: Annotated[float | None, BeforeValidator(none_or(_minutes))] = Field(
        None, description="minutes between checkpoints inside an epoch; default: none inside"
    )
    stop_after: Annotated[float | None, BeforeValidator(none_or(seconds_of))] = Field(
        None, description='save and end before a job\'s time is over, such as "3h50m"; the next run goes on'
    )
    start_epoch: Annotated[int | Literal["auto"], BeforeValidator(_number_or("auto"))] = Field(
        "auto", description="auto, or the epoch to go on with"
    )
    devices: Annotated[int | Literal["all"], BeforeValidator(_number_or("all"))] = Field(
        1, description="between how many devices batches are split, or all"
    )
    resume: Annotated[Literal["all", "weights"], BeforeValidator(one_of("all", "weights"))] = Field(
        "all", description="what to go on from: all, or weights, with a fresh optimizer"
    )
    init_from: Annotated[str | None, BeforeValidator(none_or(_folder("a checkpoint")))] = Field(
        None, description="a checkpoint's folder whose weights a new training begins with"
    )
    read_from: Annotated[ReadFrom, BeforeValidator(one_of("shards", "store"))] = Field(
        "shards",
        description="where training has its batches from: shards, or the store, with no shards written",
    )
    store: Annotated[str | None, BeforeValidator(none_or(_folder("another output")))] = Field(
        None, description="another output folder, whose stores and vocabularies are used, never written"
    )
    cleanup_old_models: Annotated[CleanupPolicy | None, BeforeValidator(_cleanup)] = Field(
        None, description="true, or a table (keep_last_n, keep_best_n, keep, keep_best_by); default: keep all"
    )
    stop_on_nonfinite_train_score: bool = Field(True, description="stop at the first NaN or Inf loss")

    def stored_epoch(self, epoch: int, planned: Schedule) -> int:
        """The stored epoch that training epoch ``epoch`` (from 1) reads.

        Args:
            epoch: Of the training.
            planned: The epochs as they were planned.

        Raises:
            ValueError: There is no such epoch.
        """
        return self._asked_for(planned).stored(epoch)

    def check_stored(self, planned: Schedule) -> None:
        """Raises UsageError where fewer epochs are stored than asked for."""
        if all(map(planned.is_stored, self._asked_for(planned).stored_epochs)):
            return
        name, number = "num_epochs", self.num_epochs
        if self.distinct_epochs is not None:
            name, number = "distinct_epochs", self.distinct_epochs
        stored = counted(planned.num_stored, "epoch is", "epochs are")
        text = f"{name} = {number}, but {stored} stored; run `seqmill preprocess`"
        if len(planned.stretches) == 1:
            text += f", or set distinct_epochs = {planned.num_stored} to go round in them"
        raise UsageError(text)

    def _asked_for(self, planned: Schedule) -> Schedule:
        distinct = self.distinct_epochs or planned.distinct_epochs
        return replace(planned, num_epochs=self.num_epochs, distinct_epochs=distinct)


def _check_int(name: str, value: Any, least: int, alternative: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        alternative = f" {alternative}" if alternative else ""
        raise UsageError(f"{name}: {value!r}; expected a whole number of at least {least}{alternative}")
