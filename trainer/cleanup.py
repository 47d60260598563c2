"""Deleting checkpoints that nobody needs any more: the decision, then what acts on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.options import CleanupPolicy

UNRANKED = "is no score of any epoch: no telling which are best"


@dataclass(frozen=True)
class Decision:
    """What becomes of the checkpoint of one epoch; ``reasons`` is empty exactly where it is deleted."""

    epoch: int
    reasons: tuple[str, ...]

    @property
    def keep(self) -> bool:
        """Whether the checkpoint stays."""
        return bool(self.reasons)


def decide(
    losses: Mapping[int, Mapping[str, float]],
    stored: Iterable[int],
    policy: CleanupPolicy,
    resumed_from: int | None = None,
) -> list[Decision]:
    """Which checkpoints stay, and why (RETURNN: ``EngineBase.cleanup_old_models``).

    Args:
        losses: Per epoch its scores; NaN and missing ones are never among the best. Lower is better, unless
            ``policy.keep_best_by`` says otherwise.
        stored: Epochs with a complete checkpoint.
        policy: What to keep.
        resumed_from: Epoch whose checkpoint this training was resumed from.

    Returns:
        A decision for each stored epoch, in order. All stay where there is no score to find the best by.
    """
    epochs = sorted(set(stored))
    reasons: dict[int, list[str]] = {epoch: [] for epoch in epochs}
    for position, epoch in enumerate(reversed(epochs[-policy.keep_last_n :])):
        reasons[epoch].append("newest" if position == 0 else f"among the last {policy.keep_last_n}")
    names = sorted({name for values in losses.values() for name in values})
    for name in names:
        scored = [(losses.get(epoch, {}).get(name, math.nan), epoch) for epoch in epochs]
        known = [entry for entry in scored if not math.isnan(entry[0])]
        ranked = sorted(known, key=lambda entry: (policy.sign * entry[0], entry[1]))
        for rank, (value, epoch) in enumerate(ranked[: policy.keep_best_n], 1):
            reasons[epoch].append(f"{name} {value:.4g} is no. {rank} of the best {policy.keep_best_n}")
    for epoch in epochs:
        if policy.keep_best_n and not names:
            reasons[epoch].append(f"{policy.score_name} {UNRANKED}")
        if epoch in policy.keep:
            reasons[epoch].append("listed in keep")
        if epoch == resumed_from:
            reasons[epoch].append("resumed from")
    return [Decision(epoch, tuple(reasons[epoch])) for epoch in epochs]


def clean_up(
    folder: str, policy: CleanupPolicy, resumed_from: int | None = None, dry_run: bool = False
) -> list[Decision]:
    """Deletes the checkpoints in a model folder that the policy does not keep.

    Args:
        folder: The model folder.
        policy: What to keep.
        resumed_from: Epoch whose checkpoint this training was resumed from.
        dry_run: Only decide.
    """
    history = scores.read(folder)
    if history is None:
        return []
    found, _ = checkpoints.find(folder)
    own = checkpoints.owned(found, history)
    decisions = decide(history.ranked(policy.score), own, policy, resumed_from)
    if not dry_run:
        for decision in decisions:
            if not decision.keep:
                checkpoints.delete(own[decision.epoch])
    return decisions
