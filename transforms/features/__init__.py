"""What turns a field's value into an array: one encoder per type of data key.

A type's encoder is imported where a data key is of that type: sound takes a while to load.
"""

from __future__ import annotations

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.fairseq_dict import with_special_labels
from seqmill.transforms.features.norm import Norm
from seqmill.transforms.features.normalize import NormalizedText
from seqmill.transforms.features.normalized_frames import NormalizedFrames
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.small_elements import SmallElements
from seqmill.transforms.features.vocab import Vocab

MAX_RECORD_SIZE = 256_000_000
# Per type of data key, and per kind of tokenizer, a number that is raised when the same value would give
# another array.
CODE_VERSIONS = {
    "ints": 1,
    "floats": 1,
    "bytes": 1,
    "chars": 1,
    "words": 1,
    "subwords": 3,
    "sentencepiece": 1,
    "audio": 3,
    "log_mel": 3,
    "mfcc": 1,
}
__all__ = ["CODE_VERSIONS", "MAX_RECORD_SIZE", "Encoder", "Norm", "Ragged", "Vocab", "make_encoder"]


def make_encoder(
    key: DataKey,
    folder: str,
    vocab: Vocab | None,
    feature_shape: tuple[int, ...] | None,
    from_text: bool = False,
    max_bytes: int = MAX_RECORD_SIZE,
    norm: Norm | None = None,
) -> Encoder:
    """The encoder of a data key, which sees to its ``normalize``, ``normalization`` and ``dtype`` as well.

    Args:
        key: The data key.
        folder: Folder or URL that relative paths of sound and arrays start from.
        vocab: Labels of ``chars``, ``words`` and ``subwords`` of BPE codes; for ``ints``, the vocabulary that
            ids must be inside.
        feature_shape: Of ``floats``, ``()`` or ``(D,)`` as the corpus was found to have: sequences that
            differ are rejected. ``None`` takes any shape, to find out what the corpus has.
        from_text: Values come from a text format, where numbers are text too.
        max_bytes: Most bytes of a sound file, of its samples and of an array in a file; what is larger is
            rejected.
        norm: The statistics that frames are normalized by, where the key has any.

    Raises:
        SeqmillError: A package or file that the type needs is missing.
        UsageError: The key's options do not fit each other or its vocabulary.
    """
    if key.vocab_format == "fairseq" and vocab is not None and key.type != "ints":
        key = with_special_labels(key, vocab)
    encoder = _make_encoder(key, folder, vocab, feature_shape, from_text, max_bytes)
    if key.normalize:
        return NormalizedText(encoder, key.type, key.normalize)
    if key.has_statistics and norm is None:
        raise ValueError(f"data key {key.name!r} has no statistics yet")
    if key.normalization is not None:
        encoder = NormalizedFrames(encoder, norm)
    return encoder if key.dtype is None else SmallElements(encoder, key.elements)


def _make_encoder(
    key: DataKey,
    folder: str,
    vocab: Vocab | None,
    feature_shape: tuple[int, ...] | None,
    from_text: bool,
    max_bytes: int,
) -> Encoder:
    match key.type:
        case "ints":
            from seqmill.transforms.features.numeric import Ints

            return Ints(key, None if vocab is None else len(vocab), from_text, folder, max_bytes)
        case "floats":
            from seqmill.transforms.features.numeric import Floats

            return Floats(key, feature_shape, from_text, folder, max_bytes)
        case "bytes":
            from seqmill.transforms.features.text_bytes import TextBytes

            return TextBytes(key)
        case "chars" | "words":
            if vocab is None:
                raise ValueError(f"data key {key.name!r} of type {key.type} has no vocabulary yet")
            from seqmill.transforms.features.labels import Labels

            return Labels(key, vocab)
        case "subwords":
            return _subwords(key, vocab)
        case "audio":
            from seqmill.transforms.features.audio import Audio

            return Audio(key, folder, max_bytes)
        case "log_mel":
            from seqmill.transforms.features.kaldi_features import LogMel

            return LogMel(key, folder, max_bytes)
        case "mfcc":
            from seqmill.transforms.features.kaldi_features import Mfcc

            return Mfcc(key, folder, max_bytes)
    raise ValueError(f"data key {key.name!r} has the unknown type {key.type!r}")


def _subwords(key: DataKey, vocab: Vocab | None) -> Encoder:
    if key.vocab is not None and vocab is not None:
        from seqmill.transforms.features.bpe_codes import BpeSubwords

        return BpeSubwords(key, vocab)
    from seqmill.transforms.features.sentence_pieces import SentencePieces, is_sentencepiece

    if is_sentencepiece(str(key.tokenizer)):
        return SentencePieces(key)
    from seqmill.transforms.features.subwords import Subwords

    return Subwords(key)
