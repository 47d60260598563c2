"""Where the labels of data keys are listed: in files that are given, or in a folder of the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from seqmill.pipelines.options import Config
from seqmill.pipelines.sources import Source
from seqmill.transforms.features import Vocab
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.fairseq_dict import read_fairseq
from seqmill.transforms.features.shared_vocabs import given_vocab
from seqmill.transforms.features.vocab import never_found, read_vocab
from seqmill.transforms.readers import Split, declared_labels
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.output_folder import counted_vocab_path


def vocab_paths(config: Config, declared: Mapping[str, Vocab]) -> dict[str, str]:
    """Per data key with labels the file that lists them."""
    folder, data = output_folder.counted_vocab_folder(config.store_output), config.data
    return {
        key.name: _plain_vocab(key, [*data.values()]) or counted_vocab_path(folder, key.labels_of)
        for key in data.values()
        if key.vocab or key.has_counted_vocab or key.tokenizer or key.name in declared
    }


def declared_vocabs(sources: Mapping[str, Source], splits: Mapping[str, list[Split]]) -> dict[str, Vocab]:
    """Per data key of ``ints`` without a vocabulary of its own the labels that its input declares.

    Raises:
        SeqmillError: Two files declare different ones.
    """
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    first_splits = {(split.source, name): split for name, parts in splits.items() for split in parts}
    for (_, name), split in first_splits.items():
        for key in sources[name].keys:
            if key.type != "ints" or key.vocab is not None:
                continue
            labels = declared_labels(split, key.field)
            if labels is None:
                continue
            source, others = found.setdefault(key.name, (split.source, labels))
            if labels != others:
                raise SeqmillError(
                    f"data key {key.name!r}: {split.source} and {source} declare different labels "
                    f"({len(labels):,} and {len(others):,}); data.{key.name}.vocab = FILE says which hold"
                )
    return {name: Vocab(labels) for name, (_, labels) in found.items()}


def listed_vocabs(config: Config, declared: Mapping[str, Vocab]) -> Iterator[tuple[str, Vocab]]:
    """Where labels are listed that come from no plain vocabulary: of tokenizers, say, or of the input; they.

    Args:
        config: The configuration.
        declared: As ``declared_vocabs`` gave them.
    """
    folder = output_folder.counted_vocab_folder(config.output)
    for name, labels in declared.items():
        yield counted_vocab_path(folder, name), labels
    for key in config.data.values():
        if key.vocab_format == "fairseq" and key.labels_of == key.name:
            yield counted_vocab_path(folder, key.name), read_fairseq(str(key.vocab))
        if key.tokenizer and not key.vocab:
            from seqmill.transforms.features.subwords import tokenizer_labels

            tokens = enumerate(tokenizer_labels(key.tokenizer))
            vocab = Vocab(tuple(token or f"<unused:{index}>" for index, token in tokens))
            yield counted_vocab_path(folder, key.name), vocab


def labels_never_found(config: Config, declared: Mapping[str, Vocab]) -> Iterator[str]:
    """What to say of given vocabularies with labels that ``normalize`` leaves in no text."""
    paths, keys = vocab_paths(config, declared), [*config.data.values()]
    for key in keys:
        if key.normalize and key.type in ("chars", "words") and given_vocab(key, keys):
            vocab = read_vocab(paths[key.name])
            if labels := never_found(vocab, key.normalize):
                yield (
                    f"data.{key.name}.vocab: {len(labels):,} of {len(vocab):,} labels, such as "
                    f"{labels[0]!r}, are in no text that normalize has made"
                )


def _plain_vocab(key: DataKey, keys: Sequence[DataKey]) -> str | None:
    """The file that gives the labels of a data key, where it has one label a line."""
    is_fairseq = any(one.vocab_format == "fairseq" for one in keys if one.name == key.labels_of)
    return None if is_fairseq else given_vocab(key, keys)
