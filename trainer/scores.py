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
FORMAT = "seqmill.scores/2"

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class History:
    """Scores of a training, and the id by which it knows its own checkpoints.

    Attributes:
        training: Random id, the same for a training however often it is resumed.
        epochs: Per epoch, per corpus (``train``, ``dev``, …), per metric (``loss``, …) the value; a value
            that is not finite is stored as ``null`` and read as NaN.
        parents: Ids of trainings that this one goes on from, each with the last epoch it still has of them.
        measured_on: Per epoch and corpus the fingerprint of the data that its scores were measured on.
        windows: Per epoch the window of a stream that it was, where one is followed.
    """

    training: str = field(default_factory=lambda: secrets.token_hex(8))
    epochs: dict[int, Scores] = field(default_factory=dict)
    parents: dict[str, int] = field(default_factory=dict)
    measured_on: dict[int, dict[str, str]] = field(default_factory=dict)
    windows: dict[int, str] = field(default_factory=dict)

    def add(self, epoch: int, corpus: str, values: Mapping[str, Any], data: str = "") -> None:
        """Sets the scores of one corpus after one epoch.

        Args:
            epoch: The epoch, from 1.
            corpus: Its name.
            values: Its scores by name.
            data: The corpus' fingerprint.
        """
        numbers = {
            name: float(values[name]) for name in sorted(values, key=lambda name: (name != "loss", name))
        }
        self.epochs.setdefault(epoch, {})[corpus] = numbers
        self.measured_on.setdefault(epoch, {})[corpus] = data

    def owns(self, training: str, epoch: int) -> bool:
        """Whether the checkpoint that training ``training`` wrote after ``epoch`` is part of this one."""
        return training == self.training or epoch <= self.parents.get(training, 0)

    def forget_from(self, epoch: int) -> History:
        """The history before ``epoch``, which will be trained again."""
        before = {number: scores for number, scores in self.epochs.items() if number < epoch}
        measured_on = {number: data for number, data in self.measured_on.items() if number < epoch}
        windows = {number: window for number, window in self.windows.items() if number < epoch}
        return replace(self, epochs=before, measured_on=measured_on, windows=windows)

    def branch_at(self, epoch: int) -> History:
        """The history of a new training that goes on from this one before ``epoch``."""
        parents = {parent: min(last, epoch - 1) for parent, last in self.parents.items()}
        before = self.forget_from(epoch)
        return History(
            epochs=before.epochs,
            parents={**parents, self.training: epoch - 1},
            measured_on=before.measured_on,
            windows=before.windows,
        )

    def ranked(self, by: str | None = None) -> dict[int, dict[str, float]]:
        """Per epoch the scores that checkpoints are ranked by, by name.

        Scores that were measured on other data than the newest ones have a name of their own, so that only
        scores on the same data are ranked together.

        Args:
            by: ``<corpus>.<score>``, such as ``dev.per``; by default the loss on each corpus but ``train``,
                or the train loss where there is no other.
        """
        others = {corpus for scores in self.epochs.values() for corpus in scores if corpus != "train"}
        wanted = [tuple(by.split(".", 1))] if by else [(corpus, "loss") for corpus in others or {"train"}]
        newest = {
            corpus: data
            for epoch in sorted(self.measured_on)
            for corpus, data in self.measured_on[epoch].items()
        }
        ranked: dict[int, dict[str, float]] = {}
        for epoch, scores in self.epochs.items():
            ranked[epoch] = {}
            for corpus, score in wanted:
                if score in scores.get(corpus, {}):
                    data = self.measured_on.get(epoch, {}).get(corpus, "")
                    other = "" if data == newest.get(corpus, "") else f" on other data ({data[:8]})"
                    ranked[epoch][f"{corpus}_{score}{other}"] = scores[corpus][score]
        return ranked

    def changed_scores(self, epoch: int, fingerprints: Mapping[str, str]) -> list[str]:
        """Prefixes of the scores, as callbacks see them, that are measured on other data than after an epoch.

        Args:
            epoch: The epoch.
            fingerprints: Of each evaluated corpus now; the first is ``val`` to callbacks.
        """
        then = self.measured_on.get(epoch, {})
        changed = [name for name, now in fingerprints.items() if then.get(name, "") not in ("", now)]
        is_first = bool(changed) and changed[0] == next(iter(fingerprints))
        return [*(f"{name}_" for name in changed), *(["val_"] if is_first else [])]

    def to_json(self) -> dict[str, Any]:
        """What the file holds."""
        epochs = {
            str(epoch): {corpus: _finite(values) for corpus, values in scores.items()}
            for epoch, scores in sorted(self.epochs.items())
        }
        content = {
            "format": FORMAT,
            "training": self.training,
            "parents": self.parents,
            "epochs": epochs,
            "measured_on": {str(epoch): data for epoch, data in sorted(self.measured_on.items())},
        }
        if self.windows:
            content["windows"] = {str(epoch): window for epoch, window in sorted(self.windows.items())}
        return content


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
        measured_on = {int(epoch): dict(data) for epoch, data in value["measured_on"].items()}
        windows = {int(epoch): str(window) for epoch, window in value.get("windows", {}).items()}
        return History(str(value["training"]), epochs, parents, measured_on, windows)
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
