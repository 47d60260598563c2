"""``model/scores.json``: the scores of every epoch."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import check_format

FILE_NAME = "scores.json"
FORMAT = "seqmill.scores/1"

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class History:
    """Scores of a training, and the id by which it knows its own checkpoints.

    Attributes:
        training: Random id, the same for a training however often it is resumed.
        epochs: Per epoch, per corpus (``train``, ``dev``, …), per metric (``loss``, …) the value; a value
            that is not finite is stored as ``null`` and read as NaN.
        parents: Ids of trainings that this one goes on from, each with the last epoch it still has of them.
    """

    training: str = field(default_factory=lambda: secrets.token_hex(8))
    epochs: dict[int, Scores] = field(default_factory=dict)
    parents: dict[str, int] = field(default_factory=dict)

    def add(self, epoch: int, corpus: str, values: Mapping[str, Any]) -> None:
        """Sets the scores of one corpus after one epoch."""
        numbers = {
            name: float(values[name]) for name in sorted(values, key=lambda name: (name != "loss", name))
        }
        self.epochs.setdefault(epoch, {})[corpus] = numbers

    def owns(self, training: str, epoch: int) -> bool:
        """Whether the checkpoint that training ``training`` wrote after ``epoch`` is part of this one."""
        return training == self.training or epoch <= self.parents.get(training, 0)

    def forget_from(self, epoch: int) -> History:
        """The history before ``epoch``, which will be trained again."""
        before = {number: scores for number, scores in self.epochs.items() if number < epoch}
        return replace(self, epochs=before)

    def branch_at(self, epoch: int) -> History:
        """The history of a new training that goes on from this one before ``epoch``."""
        parents = {parent: min(last, epoch - 1) for parent, last in self.parents.items()}
        epochs = self.forget_from(epoch).epochs
        return History(epochs=epochs, parents={**parents, self.training: epoch - 1})

    def dev_losses(self) -> dict[int, dict[str, float]]:
        """Per epoch the loss on each corpus but ``train``; the train loss where there is no other."""
        others = {corpus for scores in self.epochs.values() for corpus in scores if corpus != "train"}
        return {
            epoch: {
                f"{corpus}_loss": scores[corpus]["loss"]
                for corpus in others or {"train"}
                if "loss" in scores.get(corpus, {})
            }
            for epoch, scores in self.epochs.items()
        }

    def to_json(self) -> dict[str, Any]:
        """What the file holds."""
        epochs = {
            str(epoch): {corpus: _finite(values) for corpus, values in scores.items()}
            for epoch, scores in sorted(self.epochs.items())
        }
        return {
            "format": FORMAT,
            "training": self.training,
            "parents": self.parents,
            "epochs": epochs,
        }


def flat_scores(logs: Mapping[str, Any]) -> dict[str, float]:
    """Scores as Keras reports them as numbers; those in an array as ``<name>_0``, …"""
    scores: dict[str, float] = {}
    for name, value in logs.items():
        values = np.asarray(value, np.float64)
        if values.ndim == 0:
            scores[name] = float(values)
        else:
            scores.update({f"{name}_{i}": float(one) for i, one in enumerate(values.reshape(-1))})
    return scores


def callback_logs(scored: Mapping[str, Mapping[str, float]], others: Sequence[str]) -> dict[str, float]:
    """The scores of an epoch as callbacks see them.

    Args:
        scored: Per corpus and metric the score.
        others: The evaluated corpora.

    Returns:
        Train scores by their names, those of the first other corpus as ``val_…``, of all as ``<corpus>_…``.
    """
    logs = dict(scored["train"])
    for name in others:
        logs.update({f"{name}_{metric}": value for metric, value in scored[name].items()})
    if others:
        logs.update({f"val_{metric}": value for metric, value in scored[others[0]].items()})
    return logs


def from_json(value: Any, path: str) -> History:
    """The history in a file's content. Raises SeqmillError."""
    check_format(value, path, FORMAT)
    try:
        epochs = {
            int(epoch): {corpus: _numbers(values) for corpus, values in scores.items()}
            for epoch, scores in value["epochs"].items()
        }
        parents = {str(parent): int(last) for parent, last in value["parents"].items()}
        return History(str(value["training"]), epochs, parents)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise SeqmillError(f"{path}: not a history of scores ({error!r})") from None


def read(folder: str) -> History | None:
    """The history in a model folder, ``None`` where it has none."""
    path = files.join(folder, FILE_NAME)
    try:
        return from_json(files.read_json(path), path)
    except FileNotFoundError:
        return None


def write(folder: str, history: History) -> None:
    """Writes ``scores.json``, whole or not at all."""
    files.write_json(files.join(folder, FILE_NAME), history.to_json())


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in values.items()}
