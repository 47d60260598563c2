"""Data keys of text, from the vocabularies and tokenizers of RETURNN's datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqmill.pipelines.import_returnn.lines import left_over, not_read, note, option, shown
from seqmill.pipelines.import_returnn.values import find_unread
from seqmill.pipelines.init.write_config import Line

_TYPES = {
    "Vocabulary": "words",
    "BytePairEncoding": "subwords",
    "SamplingBytePairEncoding": "subwords",
    "SentencePieces": "subwords",
    "HuggingFaceTokenizer": "subwords",
    "CharacterTargets": "chars",
    "Utf8ByteTargets": "bytes",
}
_UNKNOWN_OF = {"CharacterTargets": "@", "Vocabulary": "UNK", "BytePairEncoding": "UNK"}
_SAMPLING = ("SamplingBytePairEncoding",)
_HANDLED = (
    *(
        "class",
        "vocab_file",
        "bpe_file",
        "model_file",
        "unknown_label",
        "bos_label",
        "eos_label",
        "seq_postfix",
    ),
    *("add_bos", "add_eos", "huggingface_repo_dir", "pad_label", "num_labels"),
)


def label_lines(field: str, opts: Any) -> Iterator[Line]:
    """The lines of a data key that turns text into labels.

    Args:
        field: The field that the text is in.
        opts: As ``Vocabulary.create_vocab`` takes them.
    """
    yield Line("field", field)
    if find_unread(opts) is not None and not isinstance(opts, Mapping):
        yield not_read("targets", opts)
        yield Line("type", "words", "a guess; targets were not read")
        return
    if not isinstance(opts, Mapping):
        yield Line("type", "words", "a guess; expected targets to be a table")
        return
    default = "BytePairEncoding" if "bpe_file" in opts else "Vocabulary"
    given = opts.get("class", default)
    kind = given if isinstance(given, str) else shown(given)
    if kind not in _TYPES:
        yield Line("type", "words", f"a guess; RETURNN: {kind}, which has no counterpart")
    else:
        why = "RETURNN draws another segmentation each time, here it is one" if kind in _SAMPLING else ""
        yield Line("type", _TYPES[kind], why)
    if kind == "HuggingFaceTokenizer":
        folder = opts.get("huggingface_repo_dir")
        yield option("tokenizer", folder, str, convert=lambda path: f"{path}/tokenizer.json")
    for name, ours in (("bpe_file", "tokenizer"), ("model_file", "tokenizer"), ("vocab_file", "vocab")):
        if opts.get(name) is not None:
            yield option(ours, opts[name], str)
    if kind not in ("SentencePieces", "HuggingFaceTokenizer", "Utf8ByteTargets"):
        yield from _special_labels(kind, opts)
    if opts.get("add_bos"):
        yield Line("bos", True)
    if opts.get("add_eos"):
        yield Line("eos", True)
    yield from left_over(opts, _HANDLED)


def _special_labels(kind: str, opts: Mapping[str, Any]) -> Iterator[Line]:
    unknown = opts.get("unknown_label", _UNKNOWN_OF.get(kind, "UNK"))
    if "unknown_label" not in opts:
        yield Line("unk", unknown, "RETURNN's default; false rejects sequences with unknown labels")
    elif unknown is None:
        yield Line(
            "unk", False, "RETURNN stops at a label that the vocabulary lacks; here its sequence is rejected"
        )
    else:
        yield option("unk", unknown, str)
    if isinstance(opts.get("pad_label"), str):
        yield Line("pad", opts["pad_label"])
    postfix = opts.get("seq_postfix")
    if postfix:
        ids = find_unread(postfix) or postfix
        yield Line("eos", True, f"RETURNN appends the labels with the ids {ids}; </s> must be that label")
        if isinstance(postfix, list | tuple) and len(postfix) > 1:
            yield note("several labels are appended there, here one")


def words_of_lines(
    field: str, vocab: str, unknown: Any, postfix: Any, pickled: bool = False
) -> Iterator[Line]:
    """The lines of a data key of words of line-aligned text, of which RETURNN appends ``postfix``."""
    yield Line("field", field)
    yield Line("type", "words")
    why = "RETURNN reads a pickle; docs/corpora.md says how to write it as text" if pickled else ""
    yield Line("vocab", vocab, why)
    if unknown is None:
        yield Line("unk", False, "RETURNN stops at an unknown word; here its sequence is rejected")
    else:
        yield option("unk", unknown, str)
    if isinstance(postfix, str) and postfix.strip():
        yield Line("eos", postfix.strip())
    elif find_unread(postfix) is not None:
        yield not_read("eos", postfix)
