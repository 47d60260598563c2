"""``subwords``: ids by a Hugging Face ``tokenizers`` file."""

from __future__ import annotations

import os
from itertools import chain
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.extras import require
from seqmill.transforms.features.labels import add_boundaries, boundary_ids
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.vocab import to_text
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError


class Subwords(Encoder):
    """``subwords``: token ids, int32 [T].

    The tokenizer's own special tokens, truncation and padding are not used: ``bos`` and ``eos`` add its
    ``<s>`` and ``</s>``, dropping and batching are seqmill's.

    Raises:
        SeqmillError: The file is missing or not a tokenizer, or the package is not installed.
        UsageError: ``bos`` or ``eos`` is set and the tokenizer has no ``<s>`` or ``</s>``.
    """

    def __init__(self, key: DataKey):
        super().__init__(key)
        assert key.tokenizer is not None
        self._tokenizer = load_tokenizer(key.tokenizer)
        index = self._tokenizer.get_vocab(with_added_tokens=True)
        self.num_labels = max(index.values(), default=-1) + 1
        self._boundaries = boundary_ids(key, index, f"the tokenizer {key.tokenizer}")

    def encode(self, value: Any) -> np.ndarray:
        """Token ids [T]. Raises RejectedSequence."""
        return self.encode_block([value]).values

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        texts = [to_text(value) for value in values]
        try:
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except Exception as error:  # the library raises nothing more specific
            raise RejectedSequence("the tokenizer failed", str(error)) from None
        ids = [encoding.ids for encoding in encodings]
        tokens = np.array(list(chain.from_iterable(ids)), self.dtype)
        lengths = np.fromiter(map(len, ids), np.int32, len(ids))
        return add_boundaries(Ragged(tokens, lengths), *self._boundaries)


def load_tokenizer(path: str) -> Any:
    """The ``tokenizers.Tokenizer`` of a file. Raises SeqmillError."""
    # A pool of threads in every worker would fight over the cores, and does not survive a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizers = require("tokenizers", "subwords", 'type = "subwords"')
    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(files.read_bytes(path))
    except FileNotFoundError:
        raise SeqmillError(f"tokenizer {path}: no such file") from None
    except Exception as error:  # the library raises nothing more specific
        raise SeqmillError(f"{path}: not a file of the tokenizers library ({error})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenizer_labels(path: str) -> list[str]:
    """The labels of a tokenizer file by id; ids that it leaves out are empty."""
    index = load_tokenizer(path).get_vocab(with_added_tokens=True)
    labels = [""] * (max(index.values(), default=-1) + 1)
    for label, position in index.items():
        labels[position] = label
    return labels
