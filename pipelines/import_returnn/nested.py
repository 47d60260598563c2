"""RETURNN datasets that are made of others: joined by tag, behind one another, mixed, or wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import gcd
from typing import Any

from seqmill.pipelines.import_returnn.lines import left_over, note, shown
from seqmill.pipelines.import_returnn.orders import ORDER_OPTIONS, sorts_by_length
from seqmill.pipelines.import_returnn.source import ALWAYS, Source, dumped
from seqmill.pipelines.import_returnn.values import Unread
from seqmill.pipelines.init.write_config import Line
from seqmill.pipelines.options import TRAIN

Inner = Callable[[Any, str], Source | Unread]
"""function(value, name): the source that a dataset inside of another one is, or why it is not known."""

_MOST_REPEATS = 100
_OF_META = ("datasets", "data_map", "seq_order_control_dataset", "seq_list_file", "data_dims", "data_dtypes")
_OF_COMBINED = ("datasets", "data_map", "data_dims", "data_dtypes", "sampling_sizes")
_OF_WRAPPERS = ("dataset", "num_workers", "buffer_size", "sharding_method")
_FILTERS = ("fixed_random_subset", "fixed_random_subset_seed", "seq_list_filter_file", "segment_file")
_CHUNKS = ("chunking", "min_chunk_size")


def _meta(options: Mapping[str, Any], corpus: str, inner: Inner) -> Source:
    datasets, data_map = options.get("datasets"), options.get("data_map")
    if not isinstance(datasets, Mapping) or not isinstance(data_map, Mapping):
        return dumped(options, corpus)
    pairs = {
        str(key): (str(pair[0]), str(pair[1]))
        for key, pair in data_map.items()
        if isinstance(pair, tuple | list) and len(pair) == 2
    }
    first = pairs["data"][0] if "data" in pairs else next(map(str, datasets), "")
    control = str(options.get("seq_order_control_dataset") or first)
    used = list(dict.fromkeys([control, *(pair[0] for pair in pairs.values())]))
    made = {}
    for name in used:
        source = inner(datasets.get(name, Unread(0, f"datasets[{name!r}]")), f"{corpus}.{name}")
        made[name] = Source({}, "hdf", [source]) if isinstance(source, Unread) else source
    return _joined(options, pairs, made, control)


def _joined(
    options: Mapping[str, Any], pairs: Mapping[str, tuple[str, str]], made: Mapping[str, Source], control: str
) -> Source:
    """The source that has the tags, with the others joined to it."""
    main = made[control]
    fields = {key: _renamed(made[name], inner) for key, (name, inner) in pairs.items()}
    keys_of = {name: [key for key, pair in pairs.items() if pair[0] == name] for name in made}
    comments = [*main.comments, *left_over(options, (*ALWAYS, *_OF_META))]
    if options.get("seq_list_file"):
        comments.append(
            note(f"seq_list_file = {shown(options['seq_list_file'])}: no counterpart; tags must be the same")
        )
    by_length = [key for key, pair in pairs.items() if pair == (control, "data")]
    order = _order_of_meta(options, main.options)
    comments[:0] = _length_key(by_length, f"of {control}", order)
    return Source(
        options=order,
        format=main.format,
        files=main.files,
        why=main.why,
        comments=comments,
        fields=fields,
        joins=[(source, keys_of[name]) for name, source in made.items() if name != control and keys_of[name]],
    )


def _order_of_meta(options: Mapping[str, Any], main: Mapping[str, Any]) -> dict[str, Any]:
    """The options of order: those of the dataset that controls it, where one does."""
    own = {name: options[name] for name in ORDER_OPTIONS if name in options}
    filters = {name: main[name] for name in _FILTERS if name in main}
    if not options.get("seq_order_control_dataset"):
        return {**filters, **own}
    inside = {name: value for name, value in main.items() if name not in _CHUNKS}
    return {"seq_ordering": "default", **inside, **{name: own[name] for name in _CHUNKS if name in own}}


def _length_key(by_length: list[str], whose: str, order: Mapping[str, Any]) -> Iterator[Line]:
    """What decides the order where it is not the first data key."""
    if not by_length and sorts_by_length(order):
        yield note(f"RETURNN orders by lengths {whose} that data_map leaves out; here by those of length_key")
    elif by_length and "data" not in by_length:
        yield Line("length_key", by_length[0], f"the order is by lengths {whose}")


def _renamed(source: Source, inner: str) -> list[Line]:
    """What is known of a data key that another dataset calls ``inner``."""
    return source.fields.get(inner) or [Line("field", inner)]


def _concat(options: Mapping[str, Any], corpus: str, inner: Inner) -> Source:
    """Datasets behind one another, which are one corpus where they are of one format."""
    parts = options.get("datasets")
    given = [inner(one, corpus) for one in parts] if isinstance(parts, list | tuple) else []
    sources = [source for source in given if isinstance(source, Source)]
    alike = len({source.format for source in sources}) == 1 and len(sources) == len(given)
    is_joined = any(source.joins for source in sources)
    if not sources or not alike or is_joined or isinstance(sources[0].files, Mapping):
        return dumped(options, corpus)
    first = sources[0]
    comments = [*first.comments, *left_over(options, (*ALWAYS, "datasets"))]
    for number, source in enumerate(sources, 1):
        comments += _own_order(f"dataset {number}", source)
    files = [name for source in sources for name in _repeated(source)]
    return Source(options, first.format, files, first.why, comments, first.fields)


def _combined(options: Mapping[str, Any], corpus: str, inner: Inner) -> Source:
    """Datasets that give the same keys: one corpus of all their files, or a mix of them."""
    datasets, maps = options.get("datasets"), _maps(options.get("data_map"))
    if not isinstance(datasets, Mapping) or not maps:
        return dumped(options, corpus)
    given = {name: inner(datasets.get(name), f"{corpus}.{name}") for name in sorted(maps)}
    sources = {name: source for name, source in given.items() if isinstance(source, Source)}
    same_keys = all(set(one.values()) == set(maps[min(maps)].values()) for one in maps.values())
    fields = [
        {key: _renamed(source, theirs) for theirs, key in maps[name].items()}
        for name, source in sources.items()
    ]
    files_of = [source.files for source in sources.values()]
    plain = not any(isinstance(one, Mapping) for one in files_of) and all(one == fields[0] for one in fields)
    if len(sources) < len(given) or not plain:
        return _not_combined(options, corpus, same_keys)
    comments = [
        *_length_key([key for theirs, key in maps[min(maps)].items() if theirs == "data"], "of data", options)
    ]
    comments += left_over(options, (*ALWAYS, *_OF_COMBINED))
    for name, source in sources.items():
        comments += [*source.comments, *_own_order(name, source)]
    sizes = _sampling_sizes(options, sources)
    one_format = len({source.format for source in sources.values()}) == 1
    if options.get("sampling_sizes"):
        made = _mixed(sources, sizes) if sizes and corpus == TRAIN else None
    else:
        is_joined = any(source.joins for source in sources.values())  # each with others: no list of files
        made = _all_files(sources) if one_format and not is_joined else None
    if made is None:
        return _not_combined(options, corpus, same_keys)
    made.options, made.fields = options, fields[0]
    made.comments = [*made.comments, *comments]
    return made


def _maps(data_map: Any) -> dict[str, dict[str, str]]:
    """Per dataset that is used, its data keys and what they are called; nothing where it is not known."""
    maps: dict[str, dict[str, str]] = {}
    for pair, key in data_map.items() if isinstance(data_map, Mapping) else ():
        if not isinstance(pair, tuple) or len(pair) != 2:
            return {}
        maps.setdefault(str(pair[0]), {})[str(pair[1])] = str(key)
    return maps


def _not_combined(options: Mapping[str, Any], corpus: str, same_keys: bool) -> Source:
    made = dumped(options, corpus)
    if not same_keys:
        made.comments.append(
            note("CombinedDataset of different data keys: here every sequence has all; a corpus of each")
        )
    elif corpus == TRAIN:
        made.comments.append(note("or a corpus of each, [corpus.train.mix.NAME], with its share of an epoch"))
    return made


def _all_files(sources: Mapping[str, Source]) -> Source:
    """One corpus; RETURNN takes the datasets in the order of their names."""
    files = [name for source in sources.values() for name in _repeated(source)]
    first = next(iter(sources.values()))
    return Source({}, first.format, files, "one corpus, ordered as one" if len(sources) > 1 else first.why)


def _repeated(source: Source) -> list[Any]:
    """The files of a part, as often as it says."""
    times = source.options.get("repeat_epoch")
    return list(source.files) * (times if isinstance(times, int) and 0 < times <= _MOST_REPEATS else 1)


def _sampling_sizes(options: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, int]:
    """Sequences that an epoch takes of each dataset; nothing where that is not known of each."""
    sizes = options.get("sampling_sizes")
    given = sizes if isinstance(sizes, Mapping) else dict.fromkeys(sources, sizes)
    found = {
        name: size
        for name in sources
        if isinstance(size := given.get(name), int) and not isinstance(size, bool) and size > 0
    }
    return found if len(found) == len(sources) else {}


def _mixed(sources: Mapping[str, Source], sizes: Mapping[str, int]) -> Source:
    """A mix whose shares are the numbers of sequences that RETURNN takes."""
    (first, own), *others = sources.items()
    common = gcd(*sizes.values())
    comments = [
        note(f"sampling_sizes = {shown(dict(sizes))}: shares here, the own files set the pace"),
        note(f"partition_epoch = (sequences of {first}) / {sizes[first]} gives an epoch as many as there"),
        note("RETURNN takes a dataset's sequences in order, here each pass has a permutation of its own"),
    ]
    mixes = {name: (source, sizes[name] // common) for name, source in others}
    share = sizes[first] // common if mixes else None
    return Source({}, own.format, own.files, own.why, comments, joins=own.joins, mixes=mixes, share=share)


def _own_order(name: str, source: Source) -> Iterator[Line]:
    """A comment on options of a part that would decide which of its sequences there are, or their order."""
    own = [
        f"{option} = {shown(source.options[option])}"
        for option in ORDER_OPTIONS
        if option != "repeat_epoch" and source.options.get(option) not in (None, 1, "default")
    ]
    if own:
        yield note(f"of {name} alone: {', '.join(own)}; no counterpart, the order is that of all together")


def _wrapped(options: Mapping[str, Any], corpus: str, inner: Inner) -> Source:
    """A dataset around another one."""
    source = inner(options.get("dataset"), corpus)
    if isinstance(source, Unread):
        return dumped(options, corpus)
    source.comments += left_over(options, (*ALWAYS, *_OF_WRAPPERS))
    if options["class"] == "PostprocessingDataset":
        source.comments.append(
            note("PostprocessingDataset: what it does to sequences belongs into the model")
        )
    outer = {name: options[name] for name in ORDER_OPTIONS if name in options}
    source.options = {**source.options, **outer}
    return source


NESTED: Mapping[str, Callable[[Mapping[str, Any], str, Inner], Source]] = {
    "MetaDataset": _meta,
    "ConcatDataset": _concat,
    "CombinedDataset": _combined,
    "MultiProcDataset": _wrapped,
    "PostprocessingDataset": _wrapped,
}
"""What makes a source of options, the corpus' name and datasets inside, by class."""
