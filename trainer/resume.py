"""Where a training goes on: which checkpoint, and whether it still fits the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.changed_options import changed_options, changes_between
from seqmill.trainer.checkpoints import BrokenCheckpointError, Checkpoint
from seqmill.trainer.corpus import Corpus
from seqmill.trainer.scores import History
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.errors import SeqmillError, UsageError

ORDER_OPTIONS = ("seed", "seq_ordering", "batching", "partition_epoch", "fixed_random_seed", "mix")
GROWING_OPTIONS = ("num_epochs", "distinct_epochs", "num_shards", "shard_size")


@dataclass(frozen=True)
class Start:
    """Where a training begins.

    Attributes:
        epoch: The first epoch to train, from 1.
        history: The scores so far.
        checkpoint: What to load before; ``None`` at the very beginning.
        first_batch: How many batches of that epoch are done.
    """

    epoch: int
    history: History
    checkpoint: Checkpoint | None
    first_batch: int = 0


def find_start(
    folder: str,
    start_epoch: int | Literal["auto"],
    say: Callable[[str], None],
    load: Callable[[Checkpoint], None],
    why_not: Callable[[Checkpoint], str] | None = None,
) -> Start:
    """Finds the checkpoint that training goes on from, and loads it.

    Args:
        folder: The model folder.
        start_epoch: The first epoch to train, which needs the checkpoint of the one before, or ``"auto"``.
        say: Takes a message about each checkpoint that is passed over.
        load: Loads a checkpoint. Where ``"auto"`` meets one that is broken, the one before is tried.
        why_not: function(checkpoint inside an epoch) → why training cannot go on from it, or nothing; not
            given where it never can.

    Raises:
        UsageError: ``start_epoch`` is a number whose checkpoint is not there.
        SeqmillError: ``load`` refused it.
    """
    found, broken = checkpoints.find(folder)
    inside, broken_inside = checkpoints.find_inside(folder) if why_not is not None else ([], [])
    history = _history(folder, [*found.values(), *inside])
    own = checkpoints.owned(found, history)
    for message in [*broken, *broken_inside]:
        say(f"passed over: {message}")
    if start_epoch != "auto":
        return _start_at(start_epoch, folder, history, own, load)
    for epoch, one in found.items():
        if epoch not in own:
            say(f"passed over: {one.folder}: written by another training")
    newest_first = [own[epoch] for epoch in sorted(own, reverse=True)]
    if why_not is not None:
        inside = [one for one in inside if one.epoch > max(own, default=0)]
        newest_first = [*_usable(inside, history, why_not, say), *newest_first]
    for one in newest_first:
        try:
            load(one)
            first = one.epoch if one.batches else one.epoch + 1
            return Start(first, _history_at(first, history, one), one, one.batches or 0)
        except BrokenCheckpointError as error:
            say(f"passed over: {error}")
    return Start(1, history.forget_from(1), None)


def _usable(
    inside: Iterable[Checkpoint],
    history: History,
    why_not: Callable[[Checkpoint], str],
    say: Callable[[str], None],
) -> Iterator[Checkpoint]:
    """Those of checkpoints inside epochs that training can go on from."""
    for one in inside:
        reason = why_not(one) if history.owns(one.training, one.epoch) else "written by another training"
        if reason:
            say(f"passed over: {one.folder}: {reason}")
        else:
            yield one


def _start_at(
    first: int,
    folder: str,
    history: History,
    own: Mapping[int, Checkpoint],
    load: Callable[[Checkpoint], None],
) -> Start:
    if first == 1:
        return Start(1, history.branch_at(1), None)
    if first - 1 not in own:
        there = ", ".join(map(str, sorted(own))) or "none"
        raise UsageError(
            f"start_epoch = {first} needs the checkpoint of epoch {first - 1}; complete in {folder}: {there}"
        )
    load(own[first - 1])
    return Start(first, _history_at(first, history, own[first - 1]).branch_at(first), own[first - 1])


def find_checkpoint(
    folder: str, start_epoch: int | Literal["auto"], check: Callable[[Checkpoint], None] | None = None
) -> Start:
    """What ``find_start`` will find, as far as ``checkpoint.json`` of each checkpoint tells; loads nothing.

    Args:
        folder: The model folder.
        start_epoch: As for ``find_start``.
        check: Raises SeqmillError where training cannot go on from a checkpoint.
    """
    return find_start(folder, start_epoch, _nothing, check or _nothing, lambda inside: "")


def _nothing(_: object) -> None:
    pass


def how_to_go_on(folder: str, start_epoch: int | Literal["auto"]) -> str:
    """What to tell whom a training leaves before its end."""
    history = scores.read(folder) or History()
    own = checkpoints.owned(checkpoints.find(folder)[0], history)
    inside = [one for one in checkpoints.find_inside(folder)[0] if history.owns(one.training, one.epoch)]
    if inside and inside[0].epoch > max(own, default=0):
        where = f"inside epoch {inside[0].epoch}, after {inside[0].batches:,} of its batches"
    elif own:
        where = f"that of epoch {max(own)}"
    else:
        return "there is no checkpoint yet. The same command begins again."
    kept = f"the last checkpoint is {where}."
    if start_epoch == "auto":
        return f"{kept} The same command goes on from there."
    return f'{kept} To go on from there, set start_epoch = "auto".'


def data_facts(manifest: Manifest) -> dict[str, Any]:
    """What a checkpoint remembers of the training data, to notice when they change."""
    return facts_of(manifest.fingerprint, manifest.options, manifest.data_keys, manifest.others)


def facts_of(
    fingerprint: str,
    options: Mapping[str, Any],
    data_keys: Mapping[str, ArraySpec],
    others: Mapping[str, Checksum],
) -> dict[str, Any]:
    """``data_facts`` of what a manifest will hold; arguments as its attributes."""
    return {
        "fingerprint": fingerprint,
        "options": dict(options),
        "data_keys": {
            key: {
                "dtype": spec.dtype,
                "feature_shape": list(spec.feature_shape),
                "num_labels": spec.num_labels,
                "labels": None if spec.vocab is None else others[spec.vocab].xxh128,
                **({"processing": dict(spec.processing)} if spec.processing else {}),
                **({"norm": others[spec.norm].xxh128} if spec.norm else {}),
            }
            for key, spec in data_keys.items()
        },
    }


def epoch_facts(corpus: Corpus, stored: int) -> dict[str, Any]:
    """What a checkpoint inside an epoch remembers of it: its batches are known by their numbers."""
    epoch = corpus.epoch(stored)
    return {"num_batches": epoch.num_batches, "fingerprint": epoch.fingerprint}


def why_not_inside(checkpoint: Checkpoint, facts: Mapping[str, Any]) -> str:
    """Why training cannot go on from a checkpoint inside an epoch whose facts are these now, or nothing."""
    if checkpoint.content.get("batches_of") == facts:
        return ""
    return f"epoch {checkpoint.epoch} is planned otherwise now, and is trained from its beginning"


def check_same_data(
    checkpoint: Checkpoint, now: Mapping[str, Any], seed: int, explicit: bool, say: Callable[[str], None]
) -> None:
    """Compares the data with those a checkpoint was trained on.

    Other labels or shapes are always refused. Another order or partition of the epochs would mix passes
    over the data and is refused unless ``start_epoch`` is a number; anything else is said.

    Args:
        checkpoint: Where training goes on.
        now: ``data_facts`` of the corpus to train on.
        seed: Of the training.
        explicit: ``start_epoch`` is a number.
        say: Takes a message about each change that is not refused.

    Raises:
        SeqmillError: The data do not fit the checkpoint.
    """
    then = checkpoint.content.get("data", now)
    for key, was, are in _changed_labels(then["data_keys"], now["data_keys"]):
        raise SeqmillError(
            f"{checkpoint.folder}: the vocabulary of {key} changed (labels or their order; {was} labels "
            f"then, {are} now), so that the model's numbers mean other labels; set data.{key}.vocab to a "
            "file with the labels of then, or use another output folder"
        )
    for change in _changed_keys(then["data_keys"], now["data_keys"]):
        raise SeqmillError(
            f"{checkpoint.folder}: was trained on other data: {change}; use another output folder"
        )
    changes = check_same_options(checkpoint, now["options"], seed, explicit, say)
    if not changes and then["fingerprint"] != now["fingerprint"] and then["options"] == now["options"]:
        say(f"changed since epoch {checkpoint.epoch}: the input files of the training data")


def check_same_options(
    checkpoint: Checkpoint, now: Mapping[str, Any], seed: int, explicit: bool, say: Callable[[str], None]
) -> Mapping[str, str]:
    """Compares the options of the data with those a checkpoint was trained with; see ``check_same_data``.

    Args:
        checkpoint: Where training goes on.
        now: The options, as the manifest has them.
        seed: Of the training.
        explicit: ``start_epoch`` is a number.
        say: Takes a message about each change that is not refused.

    Returns:
        What has changed of epochs that are trained, by the options' names.
    """
    then = checkpoint.content["data"]["options"] if "data" in checkpoint.content else now
    changes = _changes_of_trained(checkpoint, then, now, say)
    trained_with = checkpoint.content.get("seed", seed)
    if trained_with != seed:
        changes.setdefault("seed", f"seed was {trained_with!r}, is {seed!r}")
    for name, change in changes.items():
        if name in ORDER_OPTIONS and not explicit:
            raise SeqmillError(
                f"{checkpoint.folder}: was trained with another order or seed: {change}; epochs to come "
                "would not continue those trained. Change it back, use another output folder, or set "
                f"start_epoch = {checkpoint.epoch + 1} to go on all the same"
            )
        say(f"changed since epoch {checkpoint.epoch}: {change}")
    return changes


def _history_at(first: int, history: History, checkpoint: Checkpoint) -> History:
    """The history before an epoch; which windows were trained, the checkpoint knows."""
    path = files.join(checkpoint.folder, checkpoints.JSON_NAME)
    windows = scores.from_json(checkpoint.content.get("history"), path).windows
    return replace(history, windows=windows).forget_from(first)


def _history(folder: str, found: Sequence[Checkpoint]) -> History:
    """The folder's history; where the file is lost, what the newest checkpoint remembers of it."""
    history = scores.read(folder)
    if history is not None:
        return history
    if not found:
        return History()
    newest = max(found, key=lambda one: (one.epoch, one.batches is None))
    return scores.from_json(newest.content.get("history"), files.join(newest.folder, checkpoints.JSON_NAME))


def _changes_of_trained(
    checkpoint: Checkpoint, then: Mapping[str, Any], now: Mapping[str, Any], say: Callable[[str], None]
) -> dict[str, str]:
    """How options of epochs that are trained changed, by their names; of later epochs it is said at once."""
    try:
        found = changed_options(then, now)
    except ValueError:  # of another version
        return {k: text for k, text in changes_between(then, now).items() if k not in GROWING_OPTIONS}
    if found is None:
        return {}
    whole = checkpoint.epoch if checkpoint.batches is None else checkpoint.epoch - 1
    if found.epoch <= whole:
        return dict(found.changes)
    what = "; ".join(found.changes.values())
    say(f"changed since epoch {checkpoint.epoch}: from epoch {found.epoch} on: {what}")
    return {}


def _changed_keys(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs between the facts of data keys."""
    if {*then} != {*now}:
        yield f"its data keys were {', '.join(sorted(then))}, are {', '.join(sorted(now))}"
    for key in sorted({*then} & {*now}):
        was, are = ({**facts, **facts.get("processing", {})} for facts in (then[key], now[key]))
        for facts in (was, are):
            facts.pop("processing", None)
        yield from (f"data.{key}: {change}" for change in changes_between(was, are).values())


def _changed_labels(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Data keys of which nothing but the vocabulary is another, with its sizes."""
    of_labels = ("labels", "num_labels")
    for key in sorted({*then} & {*now}):
        names = {*then[key], *now[key]}
        is_else = {name for name in names if then[key].get(name) != now[key].get(name)}
        if is_else and is_else <= {*of_labels} and all(then[key].get(n) and now[key][n] for n in of_labels):
            yield key, then[key]["num_labels"], now[key]["num_labels"]
