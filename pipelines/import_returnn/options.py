"""The options outside of all tables, and the comment on what belongs to the Keras model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seqmill.pipelines.import_returnn.lines import not_read, note, option, shown
from seqmill.pipelines.import_returnn.orders import chunk_lines, order_lines, per_key
from seqmill.pipelines.import_returnn.values import find_unread
from seqmill.pipelines.init.write_config import Line
from seqmill.pipelines.returnn_names import Kind, is_of_datasets, meaning_of

_DEFAULT_EPOCHS = 5  # in RETURNN
_HANDLED = (
    *("train", "dev", "eval", "eval_datasets", "extern_data", "num_inputs", "num_outputs", "target"),
    *("batch_size", "batch_size_train", "batch_size_dev", "max_seqs", "max_seq_length", "min_seq_length"),
    *("batching", "chunking", "min_chunk_size", "num_epochs", "save_interval", "cleanup_old_models"),
    *("start_epoch", "stop_on_nonfinite_train_score", "random_seed", "model", "task"),
)
_UNSET = (("window", 1),)
_CLEANUP = ("keep_last_n", "keep_best_n", "keep")


def option_lines(values: Mapping[str, Any], keys: Iterable[str], order_is_own: bool) -> Iterator[Line]:
    """The lines outside of all tables.

    Args:
        values: The options of the config.
        keys: The data keys.
        order_is_own: Whether ``train`` says its order itself.
    """
    model = values.get("model")
    why = f"RETURNN's checkpoints: {shown(model)}; here in work/model" if model is not None else ""
    yield Line("output", "work", why)
    yield from _limits(values, keys)
    for name in ("max_seq_length", "min_seq_length"):
        limit = values.get(name)
        if limit and limit != float("inf"):
            why = "whole sequences are dropped before ordering and chunking, in RETURNN after it"
            yield from per_key(name, limit, keys, why)
    if not order_is_own:
        yield from order_lines({"seq_ordering": values.get("batching")})
    elif values.get("batching") is not None:
        yield note(f"batching = {shown(values['batching'])}: train says its own order")
    yield from chunk_lines(values.get("chunking"), values.get("min_chunk_size"), keys)
    yield from _training(values)


def _limits(values: Mapping[str, Any], keys: Iterable[str]) -> Iterator[Line]:
    size = values.get("batch_size_train", values.get("batch_size"))
    most = values.get("max_seqs")
    found: list[Line] = []
    if size:
        frames = "most frames, as in RETURNN: the longest sequence times the number of sequences"
        found += per_key("batch_size", size, keys, why=frames)
    if most is not None and most != -1:
        found.append(option("max_seqs", most, int))
    yield from found
    if any(line.name for line in found):
        return
    if size is None:
        yield Line("max_seqs", 1, "RETURNN's default: batch_size = 1, each sequence alone")
    else:
        why = "to be filled in: RETURNN's was not read" if find_unread(size) else "RETURNN has no limit"
        yield Line("batch_size", 1_000_000_000, f"{why}; here one is required")


def _training(values: Mapping[str, Any]) -> Iterator[Line]:
    if "num_epochs" in values:
        yield option("num_epochs", values["num_epochs"], int)
    else:
        yield Line("num_epochs", _DEFAULT_EPOCHS, "RETURNN's default")
    if values.get("save_interval") is not None:
        yield option("save_interval", values["save_interval"], int)
    if values.get("start_epoch") not in (None, "auto"):
        yield option("start_epoch", values["start_epoch"], int, why="goes on from the checkpoint before it")
    if values.get("cleanup_old_models"):
        yield from _cleanup(values["cleanup_old_models"])
    if values.get("stop_on_nonfinite_train_score") is not None:
        name = "stop_on_nonfinite_train_score"
        yield option(name, values[name], bool, int, convert=bool)
    if values.get("random_seed") is not None:
        yield option(
            "seed", values["random_seed"], int, why="of orders, too, which RETURNN takes from the epoch"
        )


def _cleanup(value: Any) -> Iterator[Line]:
    if not isinstance(value, Mapping) or find_unread(value) is not None:
        yield option("cleanup_old_models", value, bool, int, convert=bool)
        return
    kinds = {"keep": list, "keep_last_n": int, "keep_best_n": int}
    policy = {name: value[name] for name in _CLEANUP if isinstance(value.get(name), kinds[name])}
    yield Line("cleanup_old_models", policy or True)
    if lost := [name for name in value if name not in policy]:
        yield note(f"cleanup_old_models: no counterpart of {', '.join(map(str, lost))}")


def of_the_model(values: Mapping[str, Any]) -> Iterator[Line]:
    """Comments on what the model file has to say, and on what else has no line."""
    groups: dict[Kind, list[Line]] = {kind: [] for kind in Kind}
    nothing = []
    for name, value in values.items():
        meaning = meaning_of(name)
        is_set = find_unread(value) is not None or (value and (name, value) not in _UNSET)
        if name in _HANDLED or meaning is None or is_of_datasets(name) or not is_set:
            continue
        if meaning.kind is Kind.NOTHING and meaning.advice.startswith("nothing to set"):
            nothing.append(name)
        else:
            groups[meaning.kind].append(note(f"- {name} = {shown(value)}: {meaning.advice}"))
    if groups[Kind.MODEL]:
        yield note('Belongs to the Keras model, model = "FILE.py:FUNCTION" (docs/training.md):')
        yield from groups[Kind.MODEL]
    if others := [*groups[Kind.OPTION], *groups[Kind.NOTHING]]:
        yield note("Has its place elsewhere, or none:")
        yield from others
    if nothing:
        yield note(f"Nothing to set for {', '.join(nothing)}")


def dev_lines(values: Mapping[str, Any], keys: Iterable[str], options: Mapping[str, Any]) -> Iterator[Line]:
    """The lines of a corpus other than ``train``, of which RETURNN has other defaults."""
    yield from order_lines(options, "sorted", "RETURNN's default for dev and eval")
    if values.get("batch_size_dev") is not None:
        yield from per_key("batch_size", values["batch_size_dev"], keys)
    if "chunking" in options:
        yield from chunk_lines(options["chunking"], options.get("min_chunk_size"), keys)
    elif values.get("chunk_eval"):
        yield from chunk_lines(values.get("chunking"), values.get("min_chunk_size"), keys)
    if find_unread(options) is not None and not options:
        yield not_read("options", options)
