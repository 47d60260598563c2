"""``subwords``: ids by a Hugging Face ``tokenizers`` file."""

from __future__ import annotations

import os
from itertools import chain
from typing import Any

import numpy as np
import orjson

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.labels import add_boundaries, count_unknown, special_ids
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.sentence_pieces import is_sentencepiece, model_pieces
from seqmill.transforms.features.text import to_text
from seqmill.transforms.readers.split import named_errors
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.storage.extras import require

_RANDOM = ("dropout", "alpha", "nbest_size")  # of BPE; of Unigram

_HIGHEST_ID = (1 << 24) - 1  # a list of labels is made of ids, and a damaged file may have any


class Subwords(Encoder):
    """``subwords``: token ids, int32 [T].

    The tokenizer's own special tokens, truncation, padding and dropout are not used: ``bos`` and ``eos`` add
    its ``<s>`` and ``</s>``, dropping and batching are seqmill's, and the same text has the same ids always.
    A text with a character that the tokenizer would leave out without a word is rejected.

    Raises:
        SeqmillError: The file is missing or not a tokenizer, or the package is not installed.
        UsageError: The tokenizer has not the special labels that the key wants.
    """

    def __init__(self, key: DataKey):
        super().__init__(key)
        assert key.tokenizer is not None
        self._tokenizer = load_tokenizer(key.tokenizer)
        index = self._tokenizer.get_vocab(with_added_tokens=True)
        self.num_labels = max(index.values(), default=-1) + 1
        special = special_ids(key, index, f"the tokenizer {key.tokenizer}")
        self._boundaries = (special.bos, special.eos)
        self.pad = special.pad
        self._unknown = _unknown_id(self._tokenizer)
        self._losses = _Losses(self._tokenizer) if _may_lose(self._tokenizer) else None

    def encode(self, value: Any) -> np.ndarray:
        """Token ids [T]. Raises RejectedSequence."""
        return self.encode_block([value]).values

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        texts = [to_text(value) for value in values]
        if self._losses is not None:
            for text in texts:
                self._losses.check(text)
        try:
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except BaseException as error:
            if not _is_of_library(error):
                raise
            raise RejectedSequence("the tokenizer failed", str(error)) from None
        ids = [encoding.ids for encoding in encodings]
        tokens = np.array(list(chain.from_iterable(ids)), self.dtype)
        lengths = np.fromiter(map(len, ids), np.int32, len(ids))
        if self._unknown is not None:
            count_unknown(self.converted, tokens, self._unknown)
        return add_boundaries(Ragged(tokens, lengths), *self._boundaries)


def load_tokenizer(path: str) -> Any:
    """The ``tokenizers.Tokenizer`` of a file. Raises SeqmillError."""
    # A pool of threads in every worker would fight over the cores, and does not survive a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizers = require("tokenizers", "subwords", 'type = "subwords"')
    with named_errors(f"tokenizer {path}"):
        content = files.read_bytes(path)
    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(content)
    except BaseException as error:
        if not _is_of_library(error):
            raise
        raise SeqmillError(
            f"{path}: not a file of the tokenizers library ({error}), nor a SentencePiece model; "
            "BPE codes need vocab = FILE as well"
        ) from None
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest > _HIGHEST_ID:
        raise SeqmillError(f"{path}: has the label id {highest}; expected none over {_HIGHEST_ID}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for setting in _RANDOM:
        if getattr(tokenizer.model, setting, None) is not None:
            setattr(tokenizer.model, setting, None)
    return tokenizer


def _is_of_library(error: BaseException) -> bool:
    """Whether the library failed: it raises plain exceptions, and panics, which are no ``Exception``."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _may_lose(tokenizer: Any) -> bool:
    """Whether characters can be left out: by a BPE with neither an unknown token nor all bytes as tokens."""
    settings = orjson.loads(tokenizer.to_str())
    model = settings["model"]
    if model["type"] != "BPE" or model["unk_token"] is not None or model["byte_fallback"]:
        return False
    steps = orjson.dumps([settings["normalizer"], settings["pre_tokenizer"]])
    return b'"ByteLevel"' not in steps


class _Losses:
    """Finds what a BPE leaves out, white space apart: it begins with the characters' own tokens."""

    def __init__(self, tokenizer: Any):
        settings = orjson.loads(tokenizer.to_str())
        self._tokenizer = tokenizer
        self._tokens = frozenset(tokenizer.get_vocab(with_added_tokens=False))
        self._added = [token["content"] for token in settings["added_tokens"]]
        self._prefix = settings["model"]["continuing_subword_prefix"] or ""
        self._suffix = settings["model"]["end_of_word_suffix"] or ""

    def check(self, text: str) -> None:
        """Raises RejectedSequence where a character would be lost."""
        for token in self._added:
            text = text.replace(token, " ")
        normalizer, pre_tokenizer = self._tokenizer.normalizer, self._tokenizer.pre_tokenizer
        if normalizer is not None:
            text = normalizer.normalize_str(text)
        words = [text] if pre_tokenizer is None else [w for w, _ in pre_tokenizer.pre_tokenize_str(text)]
        for word in words:
            for index, character in enumerate(word):
                token = self._prefix * (index > 0) + character + self._suffix * (index == len(word) - 1)
                if token not in self._tokens and not character.isspace():
                    detail = f"{character!r}; the tokenizer has no token for unknown text"
                    raise RejectedSequence("label not in the vocabulary", detail)


def _unknown_id(tokenizer: Any) -> int | None:
    """The id that stands for text that the tokenizer cannot take apart, if it has one."""
    if hasattr(tokenizer.model, "unk_token"):
        unknown = tokenizer.model.unk_token
        return None if unknown is None else tokenizer.token_to_id(unknown)
    return orjson.loads(tokenizer.to_str())["model"].get("unk_id")


def tokenizer_labels(path: str) -> list[str]:
    """The labels of a tokenizer's file by id; ids that it leaves out are empty."""
    if is_sentencepiece(path):
        return model_pieces(path)
    index = load_tokenizer(path).get_vocab(with_added_tokens=True)
    labels = [""] * (max(index.values(), default=-1) + 1)
    for label, position in index.items():
        labels[position] = label
    return labels
