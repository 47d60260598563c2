"""The sources of a configuration: what each corpus is read from, and what gives it further data keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seqmill.pipelines.options import Config, CorpusOptions
from seqmill.pipelines.source_options import SourceOptions
from seqmill.transforms.features.data_keys import DataKey

JOINED = "join-"
"""How the names of stores begin that a corpus takes data keys from, in its own store's folder."""


@dataclass(frozen=True)
class Source:
    """Files of one format that a store is made of.

    Attributes:
        name: Of the store: that of the corpus, or ``<corpus>/join-<n>``.
        where: The table of the configuration.
        corpus: The corpus.
        options: How it is read.
        keys: The data keys that it gives.
        joins: Names of the sources that the others are joined from.
    """

    name: str
    where: str
    corpus: CorpusOptions
    options: SourceOptions
    keys: tuple[DataKey, ...]
    joins: tuple[str, ...] = ()

    @property
    def is_joined(self) -> bool:
        """Whether it gives data keys to the sequences of another."""
        return self.options is not self.corpus


def sources_of(config: Config) -> dict[str, Source]:
    """All sources by name; those that a corpus is joined from come before it."""
    return {source.name: source for name in config.corpus for source in _sources(config, name)}


def _sources(config: Config, name: str) -> Iterator[Source]:
    corpus, joins = config.corpus[name], []
    given: set[str] = set()
    for number, options in enumerate(corpus.join, 1):
        where = f"corpus.{name}.join" + (f".{number}" if len(corpus.join) > 1 else "")
        keys = tuple(key for key in config.data.values() if key.name in options.data_keys)
        joins.append(f"{name}/{JOINED}{number}")
        given |= {*options.data_keys}
        yield Source(joins[-1], where, corpus, options, keys)
    own = tuple(key for key in config.data.values() if key.name not in given)
    yield Source(name, f"corpus.{name}", corpus, corpus, own, tuple(joins))
