"""From which epoch on the options of epochs are others than those that a checkpoint was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqmill.transforms.batches.described_options import as_asked, describe_epoch, undescribe
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.planning.schedule import Schedule

SHARDING = ("num_shards", "shard_size")  # they change no batch


@dataclass(frozen=True)
class ChangedOptions:
    """The first epoch that has other options, and which.

    Attributes:
        epoch: Its number, from 1.
        changes: Per option its name, and ``<name> was …, is …``.
    """

    epoch: int
    changes: Mapping[str, str]


def changed_options(then: Mapping[str, Any], now: Mapping[str, Any]) -> ChangedOptions | None:
    """The first epoch of which a corpus' options changed, of those that both plan; None where none did.

    Args:
        then: The options in the manifest that a checkpoint was trained with.
        now: Those of now.

    Raises:
        ValueError: Options are not as a manifest has them.
    """
    was, is_now = undescribe(as_asked(then)), undescribe(as_asked(now))
    most = min(was.num_epochs, is_now.num_epochs)
    firsts = {stretch.first for schedule in (was, is_now) for stretch in schedule.stretches}
    for epoch in sorted(first for first in firsts if first <= most):
        if changes := changes_between(_described(was, epoch), _described(is_now, epoch)):
            return ChangedOptions(epoch, changes)
    return None


def changes_between(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """What differs between two mappings: ``<name> was …, is …`` by name."""
    changed = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return {name: f"{name} was {_shown(then.get(name))}, is {_shown(now.get(name))}" for name in changed}


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


def _described(schedule: Schedule, epoch: int) -> dict[str, Any]:
    options: EpochOptions = schedule.at(epoch)
    return {name: value for name, value in describe_epoch(options).items() if name not in SHARDING}
