"""Which epochs are best, and which model a command means by ``--checkpoint``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.options import CleanupPolicy
from seqmill.trainer.saved_models import AVERAGE, FINAL, read_saved
from seqmill.trainer.scores import History
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.ranges import counted

BEST, LAST = "best", "last"

_EXPECTED = f"{BEST}, {LAST}, {FINAL}, {AVERAGE} or an epoch's number"


@dataclass(frozen=True)
class Ranking:
    """Epochs by a score.

    Attributes:
        score: Its name, for people: ``dev_per``.
        epochs: Each epoch that has the score, with its value; the best first.
        on_other_data: Epochs whose score was measured on other data than the newest one's.
    """

    score: str
    epochs: Mapping[int, float]
    on_other_data: tuple[int, ...]


def rank(history: History, policy: CleanupPolicy) -> Ranking:
    """The epochs of a training, the best first.

    Only scores that were measured on the same data as the newest are ranked; NaN and missing ones never are;
    ties go to the earlier epoch.

    Args:
        history: Its scores.
        policy: ``keep_best_by`` decides; by default the loss on ``dev``, or on the first other corpus by
            name, or the train loss where nothing else was evaluated.
    """
    scored = history.ranked(policy.score)
    name = policy.score.replace(".", "_", 1) if policy.score else _default_score(history)
    known = {e: values[name] for e, values in scored.items() if not math.isnan(values.get(name, math.nan))}
    best_first = sorted(known, key=lambda epoch: (policy.sign * known[epoch], epoch))
    elsewhere = [e for e, values in scored.items() if any(one.startswith(f"{name} ") for one in values)]
    return Ranking(name, {epoch: known[epoch] for epoch in best_first}, tuple(sorted(elsewhere)))


class ModelFolder:
    """The checkpoints and saved models of the training in a model folder.

    Args:
        folder: The model folder.
        policy: What is best.

    Attributes:
        checkpoints: The complete checkpoints of the training, by epoch.
        ranking: Its epochs, the best first.

    Raises:
        SeqmillError: There is no training.
    """

    def __init__(self, folder: str, policy: CleanupPolicy):
        history = scores.read(folder)
        if history is None:
            raise SeqmillError(f"{folder}: no training (run `seqmill train`)")
        self.history = history
        self.checkpoints = checkpoints.owned(checkpoints.find(folder)[0], history)
        self.ranking = rank(history, policy)
        self._folder = folder

    def best(self, number: int) -> list[Checkpoint]:
        """The best checkpoints, the best first. Raises UsageError where there are fewer."""
        found = [self.checkpoints[e] for e in self.ranking.epochs if e in self.checkpoints][:number]
        if len(found) < number:
            raise UsageError(
                f"{self._folder}: {number} of the best were asked for, but "
                f"{counted(len(found), 'checkpoint')} of this training with {self.ranking.score}; complete "
                f"checkpoints: {self._there()}"
            )
        return found

    def of_epoch(self, epoch: int) -> Checkpoint:
        """The checkpoint of an epoch. Raises UsageError where there is none."""
        if epoch not in self.checkpoints:
            raise UsageError(
                f"{self._folder}: no checkpoint of epoch {epoch}; complete ones of this training: "
                f"{self._there()}"
            )
        return self.checkpoints[epoch]

    def choose(self, name: str) -> Checkpoint:
        """What ``--checkpoint`` names: ``best``, ``last``, ``final``, ``average`` or an epoch's number.

        Raises:
            UsageError: It names nothing, or nothing that is there.
            SeqmillError: What it names is of another training, or not complete.
        """
        if name in (FINAL, AVERAGE):
            found = read_saved(files.join(self._folder, name))
            if not self.history.owns(found.training, found.epoch):
                raise SeqmillError(
                    f"{found.folder}: is of another training than {scores.FILE_NAME}; remove it"
                )
            return found
        if name == BEST:
            return self.best(1)[0]
        if name == LAST and self.checkpoints:
            return self.of_epoch(max(self.checkpoints))
        if name == LAST:
            raise UsageError(f"{self._folder}: no complete checkpoint of this training")
        if not re.fullmatch(r"[0-9]{1,9}", name):
            raise UsageError(f"--checkpoint={name}: expected {_EXPECTED}")
        return self.of_epoch(int(name))

    def _there(self) -> str:
        return ", ".join(map(str, sorted(self.checkpoints))) or "none"


def _default_score(history: History) -> str:
    others = {corpus for scored in history.epochs.values() for corpus in scored if corpus != "train"}
    return f"{'dev' if 'dev' in others else min(others, default='train')}_loss"
