"""The sources of a configuration: what a corpus is read from, mixed with, and takes data keys from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from seqmill.pipelines.options import Config, CorpusOptions
from seqmill.pipelines.source_options import JoinedOptions, JoinOptions, SourceOptions, TableOptions
from seqmill.transforms.features.data_keys import DataKey

JOINED = "join-"
"""How the names of stores begin that a corpus takes data keys from, in its own store's folder."""


@dataclass(frozen=True)
class Source:
    """Files of one format.

    Attributes:
        name: That of the corpus, ``<corpus>/mix-<name>``, or of what is joined (also of its store)
            ``<corpus>/join-<n>`` or ``<corpus>/join-<name in the mix>-<n>``.
        where: The table of the configuration.
        corpus: The corpus.
        options: How it is read.
        keys: The data keys that it gives.
        joins: Names of the sources that it takes data keys from.
        called: What a mix calls it.
        mixes: Names of the sources whose sequences are in the store, too.
    """

    name: str
    where: str
    corpus: CorpusOptions
    options: SourceOptions
    keys: tuple[DataKey, ...]
    joins: tuple[str, ...] = ()
    mixes: tuple[str, ...] = ()
    called: str = ""

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


def in_store(sources: Mapping[str, Source], name: str) -> list[Source]:
    """The sources whose sequences are in the store of one, its own first."""
    return [sources[one] for one in (name, *sources[name].mixes)]


def joined_into(sources: Mapping[str, Source], name: str) -> list[str]:
    """Names of all sources that sequences in the store of one take data keys from."""
    return [joined for source in in_store(sources, name) for joined in source.joins]


def _sources(config: Config, name: str) -> Iterator[Source]:
    corpus, mixes = config.corpus[name], []
    for other, mix in corpus.mix.items():
        where = f"corpus.{name}.mix.{other}"
        *joined, source = _with_joins(config, corpus, mix, where, f"{name}/mix-{other}", other)
        yield from joined
        yield source
        mixes.append(source.name)
    *joined, own = _with_joins(config, corpus, corpus, f"corpus.{name}", name, name)
    yield from joined
    yield replace(own, mixes=tuple(mixes))


def _with_joins(
    config: Config, corpus: CorpusOptions, options: JoinedOptions, where: str, name: str, called: str
) -> Iterator[Source]:
    """The sources that one takes data keys from, and it."""
    keys, given, joins = tuple(config.data.values()), set(), []
    stem = f"{corpus.name}/{JOINED}" + ("" if options is corpus else f"{called}-")
    for number, join in enumerate(options.join, 1):
        table = f"{where}.join" + (f".{number}" if len(options.join) > 1 else "")
        joins.append(f"{stem}{number}")
        given |= {*join.data_keys}
        yield Source(joins[-1], table, corpus, join, _keys(keys, join, set(join.data_keys)))
    own = _keys(keys, options, {key.name for key in keys} - given)
    yield Source(name, where, corpus, options, own, tuple(joins), called=called)


def _keys(keys: Sequence[DataKey], options: SourceOptions, names: set[str]) -> tuple[DataKey, ...]:
    """The data keys of some names, with the fields that hold them in a source."""
    fields = options.fields if isinstance(options, TableOptions) else {}
    own = [key for key in keys if key.name in names]
    return tuple(replace(key, field=fields[key.name]) if key.name in fields else key for key in own)
