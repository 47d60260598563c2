"""Order, parts and chunks of a corpus, from the options of a RETURNN dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seqmill.pipelines.import_returnn.lines import not_read, note, option, shown
from seqmill.pipelines.import_returnn.values import find_unread
from seqmill.pipelines.init.write_config import Line

ORDER_OPTIONS = (
    *("seq_ordering", "partition_epoch", "partitionEpoch", "fixed_random_seed", "fixed_random_subset"),
    *("seq_list_filter_file", "segment_file", "chunking", "min_chunk_size", "fixed_random_subset_seed"),
    "repeat_epoch",
)
_SAME = re.compile(r"default|reverse|random|sorted|sorted_reverse|laplace(:\.?\d+)?")
_WITH_EPOCHS = re.compile(r"(random|laplace:\.?\d+|laplace):(\d+)")
_BY_BINS = re.compile(r"sort_bin_shuffle(?:_x2)?(?::(\.?\d+))?(?::\d+)?")


def sorts_by_length(options: Mapping[str, Any]) -> bool:
    """Whether a dataset's order depends on lengths."""
    return str(options.get("seq_ordering")).startswith(("sort", "laplace"))


def order_lines(options: Mapping[str, Any], default: str | None = None, why: str = "") -> Iterator[Line]:
    """Lines for the order of a corpus and for which of its sequences take part.

    Args:
        options: Of the dataset.
        default: The order where it says none, and why; None for corpus order.
        why: A comment on that.
    """
    ordering = options.get("seq_ordering")
    if ordering is None and default is not None:
        yield from _ordering(default, why)
    elif ordering is not None:
        yield from _ordering(ordering, "")
    parts = options.get("partition_epoch", options.get("partitionEpoch"))
    if parts not in (None, 1):
        yield option("partition_epoch", parts, int)
    if options.get("fixed_random_seed") is not None:
        yield option("fixed_random_seed", options["fixed_random_seed"], int)
    subset = options.get("fixed_random_subset")
    if subset is not None:
        if isinstance(subset, float) and 0 < subset < 1:
            yield note(f"fixed_random_subset = {subset}: num_seqs = {subset} times the number of sequences")
        else:
            yield option("num_seqs", subset, int, why="other ones than RETURNN draws")
    if (times := options.get("repeat_epoch")) not in (None, 1):
        yield note(f"repeat_epoch = {shown(times)}: near it are files listed several times")
    for name in ("seq_list_filter_file", "segment_file"):
        if options.get(name) is not None:
            yield option(
                "only_tags", options[name], str, why="a tag a line; of tags in a pickle make such a file"
            )


def _ordering(value: Any, why: str) -> Iterator[Line]:
    if find_unread(value) is not None:
        yield not_read("seq_ordering", value)
    elif not isinstance(value, str):
        yield note(f"seq_ordering = {shown(value)}: no counterpart")
    elif _SAME.fullmatch(value):
        yield Line("seq_ordering", value, why)
    elif match := _WITH_EPOCHS.fullmatch(value):
        text = f"RETURNN: {value!r}, one permutation for {match[2]} epochs; here each pass has its own"
        yield Line("seq_ordering", match[1], text)
    elif match := _BY_BINS.fullmatch(value):
        near = f"laplace:{match[1]}" if match[1] else "laplace"
        yield Line(
            "seq_ordering", near, f"RETURNN: {value!r}, bins in random order, which is not there; near it"
        )
    else:
        yield note(f"seq_ordering = {value!r}: no counterpart")


def chunk_lines(chunking: Any, min_size: Any, keys: Iterable[str], name: str = "chunking") -> Iterator[Line]:
    """Lines for chunks, in any of RETURNN's spellings."""
    if find_unread(chunking) is not None:
        yield not_read(name, chunking)
        return
    try:
        rules = _chunking(chunking)
    except (TypeError, ValueError):
        yield note(f"{name} = {shown(chunking)}: none of RETURNN's spellings of it")
        return
    if not rules:
        return
    yield from per_key("chunking", rules, keys)
    if min_size:
        yield from per_key("min_chunk_size", min_size, keys, why="as RETURNN's TensorFlow engine has it")


def _chunking(value: Any) -> Any:
    """``"50:25"``, or that per data key; nothing for off."""
    if isinstance(value, str):
        numbers = [int(part) for part in re.split("[:,]", value)] if value.strip() else [0]
        value = tuple(numbers)
    if not isinstance(value, tuple | list):
        value = (value,)
    size, step = [*value, None][:2]
    if isinstance(size, Mapping):
        steps = step if isinstance(step, Mapping) else dict.fromkeys(size, step)
        return {key: _text(one, steps.get(key)) for key, one in size.items() if one}
    return _text(size, step) if size else None


def _text(size: Any, step: Any) -> str:
    if not isinstance(size, int) or not (step is None or isinstance(step, int)):
        raise TypeError
    return f"{size}:{step}" if step and step != size else str(size)


def per_key(name: str, value: Any, keys: Iterable[str], why: str = "") -> Iterator[Line]:
    """A line for an option that is one value, or one for each data key."""
    if find_unread(value) is not None:
        yield not_read(name, value)
    elif isinstance(value, Mapping):
        known = {key: one for key, one in value.items() if key in keys and isinstance(one, int | str)}
        lost = [key for key in value if key not in known]
        if lost:
            yield note(f"{name} of {', '.join(map(str, lost))}: there is no such data key")
        if known:
            yield Line(name, known, why)
    elif isinstance(value, int | str):
        yield Line(name, value, why)
    else:
        yield note(f"{name} = {shown(value)}: no counterpart")
