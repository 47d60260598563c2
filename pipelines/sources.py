"""The sources of a configuration: what a corpus is read from, mixed with, and takes data keys from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seqmill.pipelines.options import Config, CorpusOptions
from seqmill.pipelines.source_options import JoinOptions, SourceOptions
from seqmill.transforms.features.data_keys import DataKey

JOINED = "join-"
"""How the names of stores begin that a corpus takes data keys from, in its own store's folder."""


@dataclass(frozen=True)
class Source:
    """Files of one format.

    Attributes:
        name: That of the corpus, ``<corpus>/join-<n>`` (also of its store), or ``<corpus>/mix-<name>``.
        where: The table of the configuration.
        corpus: The corpus.
        options: How it is read.
        keys: The data keys that it gives.
        joins: Names of the sources that others are joined from.
        mixes: Names of the sources whose sequences are in the store, too, by what the mix calls them.
    """

    name: str
    where: str
    corpus: CorpusOptions
    options: SourceOptions
    keys: tuple[DataKey, ...]
    joins: tuple[str, ...] = ()
    mixes: tuple[str, ...] = ()

    @property
    def is_joined(self) -> bool:
        """Whether it gives data keys to the sequences of another."""
        return isinstance(self.options, JoinOptions)

    @property
    def is_own(self) -> bool:
        """Whether it is the corpus' own files."""
        return self.options is self.corpus


def sources_of(config: Config) -> dict[str, Source]:
    """All sources by name; those that a corpus is joined from or mixed with come before it."""
    return {source.name: source for name in config.corpus for source in _sources(config, name)}


def _sources(config: Config, name: str) -> Iterator[Source]:
    corpus, keys = config.corpus[name], tuple(config.data.values())
    joins, mixes = [], []
    given: set[str] = set()
    for number, join in enumerate(corpus.join, 1):
        where = f"corpus.{name}.join" + (f".{number}" if len(corpus.join) > 1 else "")
        joins.append(f"{name}/{JOINED}{number}")
        given |= {*join.data_keys}
        yield Source(joins[-1], where, corpus, join, tuple(key for key in keys if key.name in join.data_keys))
    for other, mix in corpus.mix.items():
        mixes.append(f"{name}/mix-{other}")
        yield Source(mixes[-1], f"corpus.{name}.mix.{other}", corpus, mix, keys)
    own = tuple(key for key in keys if key.name not in given)
    yield Source(name, f"corpus.{name}", corpus, corpus, own, tuple(joins), tuple(mixes))
