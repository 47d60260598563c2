"""Options of training and of cleaning up, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from seqmill.transforms.storage.errors import UsageError


@dataclass(frozen=True)
class CleanupPolicy:
    """Which checkpoints stay (RETURNN: ``cleanup_old_models``).

    Attributes:
        keep_last_n: The newest ones.
        keep_best_n: For each dev score the best ones.
        keep: Epochs that always stay.

    >>> CleanupPolicy(keep_last_n=3, keep=frozenset({10, 20})).keep_best_n
    4
    """

    keep_last_n: int = 2
    keep_best_n: int = 4
    keep: frozenset[int] = frozenset({20, 40, 80, 160, 240})

    def __post_init__(self) -> None:
        _check_int("cleanup_old_models.keep_last_n", self.keep_last_n, 1)
        _check_int("cleanup_old_models.keep_best_n", self.keep_best_n, 0)
        for epoch in self.keep:
            _check_int("cleanup_old_models.keep", epoch, 1)


def cleanup_policy(value: bool | Mapping[str, Any] | CleanupPolicy) -> CleanupPolicy | None:
    """The policy that option ``cleanup_old_models`` asks for; ``None`` where nothing is to be deleted.

    Args:
        value: ``False``, ``True`` (the defaults) or a table of ``CleanupPolicy``'s fields.

    Raises:
        UsageError: A name is unknown or a value unusable.
    """
    if isinstance(value, CleanupPolicy):
        return value
    if isinstance(value, bool):
        return CleanupPolicy() if value else None
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


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``seqmill train``.

    Attributes:
        num_epochs: Epochs to train.
        model: ``FILE.py:function``; relative paths are the caller's to resolve.
        distinct_epochs: Stored epochs that training goes round in; ``None``: as many as are stored, which
            must then be at least ``num_epochs``.
        save_interval: A checkpoint every so many epochs (and after the last).
        start_epoch: ``"auto"``, the newest complete checkpoint's epoch + 1, or a number n, which needs the
            checkpoint of epoch n - 1.
        cleanup_old_models: What ``cleanup_policy`` made of the option.
        stop_on_nonfinite_train_score: End training when the train score becomes NaN or infinite.
        seed: Of the initial weights and of all randomness while training.
    """

    num_epochs: int
    model: str = ""
    distinct_epochs: int | None = None
    save_interval: int = 1
    start_epoch: int | Literal["auto"] = "auto"
    cleanup_old_models: CleanupPolicy | None = None
    stop_on_nonfinite_train_score: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        _check_int("num_epochs", self.num_epochs, 1)
        _check_int("save_interval", self.save_interval, 1)
        _check_int("seed", self.seed, 0)
        if self.distinct_epochs is not None:
            _check_int("distinct_epochs", self.distinct_epochs, 1)
        if self.start_epoch != "auto":
            _check_int("start_epoch", self.start_epoch, 1, 'or "auto"')

    def stored_epoch(self, epoch: int, num_stored: int) -> int:
        """The stored epoch that training epoch ``epoch`` (from 1) reads.

        Raises:
            UsageError: Fewer epochs are stored than asked for.
        """
        distinct = self.distinct_epochs or self.num_epochs
        if min(distinct, self.num_epochs) > num_stored:
            name = "num_epochs" if self.distinct_epochs is None else "distinct_epochs"
            raise UsageError(
                f"{name} = {distinct}, but {num_stored} epochs are stored; run `seqmill preprocess`, "
                f"or set distinct_epochs = {num_stored} to go round in them"
            )
        return (epoch - 1) % distinct + 1


def _check_int(name: str, value: Any, least: int, alternative: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        alternative = f" {alternative}" if alternative else ""
        raise UsageError(f"{name}: {value!r}; expected a whole number of at least {least}{alternative}")
