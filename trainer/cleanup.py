"""Deleting checkpoints that nobody needs any more: the decision, then what acts on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.options import CleanupPolicy


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
        losses: Per epoch its scores, lower is better; NaN and missing ones are never among the best.
        stored: Epochs with a complete checkpoint.
        policy: What to keep.
        resumed_from: Epoch whose checkpoint this training was resumed from.

    Returns:
        A decision for each stored epoch, in order.
    """
    epochs = sorted(set(stored))
    reasons: dict[int, list[str]] = {epoch: [] for epoch in epochs}
    for position, epoch in enumerate(reversed(epochs[-policy.keep_last_n :])):
        reasons[epoch].append("newest" if position == 0 else f"among the last {policy.keep_last_n}")
    for name in sorted({name for values in losses.values() for name in values}):
        scored = [(losses.get(epoch, {}).get(name, math.nan), epoch) for epoch in epochs]
        ranked = sorted(entry for entry in scored if not math.isnan(entry[0]))
        for rank, (value, epoch) in enumerate(ranked[: policy.keep_best_n], 1):
            reasons[epoch].append(f"{name} {value:.4g} is no. {rank} of the best {policy.keep_best_n}")
    for epoch in epochs:
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
    decisions = decide(history.dev_losses(), own, policy, resumed_from)
    if not dry_run:
        for decision in decisions:
            if not decision.keep:
                checkpoints.delete(own[decision.epoch])
    return decisions
