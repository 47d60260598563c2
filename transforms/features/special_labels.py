"""The special labels that a data key wants: which they are, and what of its options does not fit them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqmill.transforms.features.data_keys import DataKey

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<s>", "</s>"


def special_labels(owner: DataKey, *others: DataKey) -> list[str]:
    """The special labels of a counted vocabulary, in their order.

    Args:
        owner: The data key whose vocabulary it is.
        others: Those that share it.

    >>> from seqmill.transforms.features.data_keys import DataKey
    >>> special_labels(DataKey("data", "data", "words", eos=True, unk="[UNK]"))
    ['<pad>', '[UNK]', '</s>']
    """
    bos, eos = zip(*map(boundary_labels, (owner, *others)), strict=True)
    named = (owner.pad or PAD, UNK if owner.unk is None else owner.unk)
    further = (label for label in dict.fromkeys((*bos, *eos)) if label is not None)
    return [label for label in (*named, *further) if isinstance(label, str)]


def boundary_labels(key: DataKey) -> tuple[str | None, str | None]:
    """The labels before and after the others, each ``None`` where the key does not want it."""
    given = ((key.bos, BOS), (key.eos, EOS))
    bos, eos = ((label if wanted is True else wanted or None) for wanted, label in given)
    return bos, eos


def check_unk(value: Any) -> Any:
    """A validator of ``unk``."""
    if value is not None and value is not False and not (isinstance(value, str) and value):
        raise ValueError("expected a label, or false")
    return value


def check_boundary(value: Any) -> Any:
    """A validator of ``bos`` and ``eos``."""
    if not isinstance(value, bool) and not (isinstance(value, str) and value):
        raise ValueError("expected true, false or a label")
    return value


def misfits_of_labels(key: DataKey) -> Iterator[str]:
    """What of the options of labels does not go together."""
    if key.type == "subwords" and key.vocab is None and key.unk is not None:
        yield "unk: a tokenizer has its own label for unknown text"
    if key.vocab_format is not None and key.vocab is None:
        yield "vocab_format needs vocab = FILE"
    specials = special_labels(key)
    if key.has_counted_vocab and len(set(specials)) < len(specials):
        yield f"pad, unk, bos and eos name a label twice: {', '.join(specials)}"
    limits = [name for name in ("max_labels", "min_count") if getattr(key, name) is not None]
    if limits and key.vocab is not None:
        yield f"{' and '.join(limits)}: nothing is counted where vocab gives the labels"
    elif limits and key.unk is False:
        yield f"{' and '.join(limits)}: with unk = false, sequences with other labels would be rejected"
    if key.max_labels is not None and key.max_labels <= len(specials):
        yield f"max_labels: found {key.max_labels}; {', '.join(specials)} alone are {len(specials)}"
