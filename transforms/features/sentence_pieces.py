"""``subwords`` by a SentencePiece model."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.labels import add_boundaries, count_unknown, special_ids
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.text import to_text
from seqmill.transforms.readers.split import named_errors
from seqmill.transforms.records.wire import BrokenMessageError, read_field
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.storage.extras import require

_PIECE, _TRAINER, _NORMALIZER = 1, 2, 3  # fields of a model
_HEAD_BYTES = 64
# Every way of the library's to give the same text other ids, or to start threads, said to be off.
_AS_IS = {
    "out_type": int,
    "add_bos": False,
    "add_eos": False,
    "reverse": False,
    "emit_unk_piece": False,
    "enable_sampling": False,
    "num_threads": 1,
}


class SentencePieces(Encoder):
    """``subwords``: ids of pieces, int32 [T], of text as the model normalizes it.

    ``bos``, ``eos`` and ``pad`` are the model's own unless they name a piece; text without a piece is its own
    unknown one. Nothing is sampled: the same text has the same ids always.

    Raises:
        SeqmillError: The file is missing or damaged, or the package is not installed.
        UsageError: The model has not the special labels that the key wants.
    """

    def __init__(self, key: DataKey):
        super().__init__(key)
        assert key.tokenizer is not None
        self._model = _load(key.tokenizer)
        pieces = _pieces(key.tokenizer, self._model)
        self.num_labels = len(pieces)
        index = {piece: number for number, piece in enumerate(pieces)}
        bos, eos = (
            pieces[own] if wanted is True and own >= 0 else wanted
            for wanted, own in ((key.bos, self._model.bos_id()), (key.eos, self._model.eos_id()))
        )
        where = f"the SentencePiece model {key.tokenizer}"
        pad = key.pad
        if pad is None and self._model.pad_id() >= 0:
            pad = pieces[self._model.pad_id()]
        special = special_ids(replace(key, bos=bos, eos=eos, pad=pad), index, where)
        self._boundaries = (special.bos, special.eos)
        self.pad = special.pad
        self._unknown = int(self._model.unk_id())

    def encode(self, value: Any) -> np.ndarray:
        """Ids [T]. Raises RejectedSequence."""
        return self.encode_block([value]).values

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        texts = [to_text(value) for value in values]
        try:
            ids = self._model.encode(texts, **_AS_IS)
        except Exception as error:
            raise RejectedSequence("the tokenizer failed", str(error)) from None
        labels = np.array(list(chain.from_iterable(ids)), self.dtype)
        count_unknown(self.converted, labels, self._unknown)
        lengths = np.fromiter(map(len, ids), np.int32, len(ids))
        return add_boundaries(Ragged(labels, lengths), *self._boundaries)


def is_sentencepiece(path: str) -> bool:
    """Whether a file of a tokenizer begins as a SentencePiece model does. Raises SeqmillError."""
    with named_errors(f"tokenizer {path}"), files.open_read(path) as file:
        head = file.read(_HEAD_BYTES)
    return head[:1] == bytes([_PIECE << 3 | 2]) and not head.lstrip().startswith(b"{")


def model_pieces(path: str) -> list[str]:
    """The pieces of a SentencePiece model by id. Raises SeqmillError."""
    return _pieces(path, _load(path))


def _load(path: str) -> Any:
    library = require("sentencepiece", "subwords", "a SentencePiece model")
    content = files.read_bytes(path)
    _check_whole(path, content)
    try:
        return library.SentencePieceProcessor(model_proto=content)
    except Exception as error:
        raise _damaged(path, str(error)) from None


def _check_whole(path: str, content: bytes) -> None:
    """Raises SeqmillError where the model ends early: the library takes what is left for a smaller one."""
    message, at, fields = memoryview(content), 0, set()
    try:
        while at < len(message) and message[at] < 0x80:  # numbers of extensions are longer
            field = message[at] >> 3
            _, at = read_field(message, at, len(message), field)
            fields.add(field)
    except BrokenMessageError as error:
        raise _damaged(path, str(error)) from None
    if not fields >= {_PIECE, _TRAINER, _NORMALIZER}:
        raise _damaged(path, "it ends early")


def _pieces(path: str, model: Any) -> list[str]:
    try:
        return [model.id_to_piece(number) for number in range(model.get_piece_size())]
    except UnicodeDecodeError as error:
        raise _damaged(path, f"a piece is not UTF-8: {error}") from None


def _damaged(path: str, problem: str) -> SeqmillError:
    return SeqmillError(f"{path}: a damaged SentencePiece model, or no model at all ({problem})")
