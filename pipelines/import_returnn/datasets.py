"""Where the sequences of a RETURNN dataset come from, class by class."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seqmill.pipelines.import_returnn.labels import label_lines, words_of_lines
from seqmill.pipelines.import_returnn.lines import left_over, not_read, note, shown
from seqmill.pipelines.import_returnn.orders import ORDER_OPTIONS
from seqmill.pipelines.import_returnn.read_config import Settings
from seqmill.pipelines.import_returnn.sound import sound_lines
from seqmill.pipelines.import_returnn.values import Function, Unread, find_unread
from seqmill.pipelines.init.write_config import Line

_PARTS_OF_LIBRISPEECH = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean", "test-other"),
)
_MOST_REPEATS = 100
_ALWAYS = ("class", "name", *ORDER_OPTIONS)


@dataclass
class Source:
    """A dataset as a source of seqmill.

    Attributes:
        options: Of the dataset that decides the order.
        format: That seqmill reads it by.
        files: Of the format.
        why: A comment on the files.
        comments: On what has no counterpart.
        fields: Per data key what is known of it, without those of an HDF file.
        joins: Sources that are joined, with the data keys that each gives.
    """

    options: Mapping[str, Any]
    format: str
    files: Any
    why: str = ""
    comments: list[Line] = field(default_factory=list)
    fields: dict[str, list[Line]] = field(default_factory=dict)
    joins: list[tuple[Source, list[str]]] = field(default_factory=list)

    @property
    def lines(self) -> Iterator[Line]:
        """Format and files, as a table has them."""
        yield Line("format", self.format)
        if isinstance(self.files, Mapping):
            yield Line("files", self.files, self.why)
            return
        found = find_unread(self.files)
        lost = "; ".join(str(one) for one in self.files if isinstance(one, Unread)) if found else ""
        names = [one for one in self.files if isinstance(one, str)]
        if found:
            yield note(f"files: not read: {lost or found}")
        yield Line("files", names or [f"FILL-IN.{self.format}"], self.why)


def dataset_options(value: Any, settings: Settings) -> Any:
    """The table of options that ``train`` and the like stand for, in whichever form; or Unread."""
    if isinstance(value, Function):
        value = settings.called(value)
    if isinstance(value, str):
        return _from_text(value, settings)
    return value


def _from_text(text: str, settings: Settings) -> Any:
    if text.startswith("{"):
        return settings.evaluated(text)
    if text.startswith("config:"):
        return dataset_options(settings.evaluated(text.removeprefix("config:")), settings)
    if match := re.match(r"(\w+):", text):
        rest = settings.evaluated(f"dict({text[match.end() :]})")
        return {"class": match[1], **rest} if isinstance(rest, dict) else rest
    return {"class": "HDFDataset", "files": [name for name in text.split(",") if name]}


def source_of(options: Mapping[str, Any], corpus: str, settings: Settings) -> Source:
    """The source that a dataset is.

    Args:
        options: Of the dataset.
        corpus: The corpus' name.
        settings: The whole config.
    """
    kind = options.get("class")
    make = _CLASSES.get(kind) if isinstance(kind, str) else None
    return make(options, corpus, settings) if make is not None else _dumped(options, corpus, settings)


def _dumped(options: Mapping[str, Any], corpus: str, _: Settings) -> Source:
    """What has no counterpart: RETURNN itself writes it to a file that is read."""
    kind = options.get("class")
    why = f"write it by RETURNN's tools/hdf_dump.py, from {kind}, which has no counterpart"
    names = [str(name) for name in options if name not in _ALWAYS]
    comments = [note(f"options of {kind} itself: {', '.join(names)}")] if names else []
    return Source(options, "hdf", [f"{corpus}.hdf"], why, comments)


def _hdf(options: Mapping[str, Any], _: str, __: Settings) -> Source:
    comments = list(left_over(options, (*_ALWAYS, "files")))
    return Source(options, "hdf", _list(options.get("files")), comments=comments)


def _ogg_zip(options: Mapping[str, Any], _: str, __: Settings) -> Source:
    comments = list(left_over(options, (*_ALWAYS, "path", "audio", "targets")))
    return Source(
        options, "ogg_zip", _list(options.get("path")), comments=comments, fields=_sound_and_text(options)
    )


def _librispeech(options: Mapping[str, Any], corpus: str, _: Settings) -> Source:
    known = ("path", "audio", "targets", "bpe", "chars", "prefix", "use_zip", "use_ogg", "subdirs")
    path, prefix = options.get("path"), options.get("prefix")
    parts = [part for part in _PARTS_OF_LIBRISPEECH if part.startswith(str(prefix or ""))]
    files: Any = [f"{path}/{part}" for part in parts] if isinstance(path, str) and parts else [path]
    why = "unpacked folders as LibriSpeech is distributed; RETURNN reads archives of them"
    comments = list(left_over(options, (*_ALWAYS, *known)))
    return Source(options, "librispeech", files, why, comments, _sound_and_text(options))


def _sound_and_text(options: Mapping[str, Any]) -> dict[str, list[Line]]:
    fields = {}
    audio = options.get("audio", {})
    if audio is not None:
        fields["data"] = list(sound_lines("audio", audio))
    targets: Any = next((options[name] for name in ("targets", "bpe", "chars") if options.get(name)), None)
    if targets is not None:
        if options.get("chars") is targets and isinstance(targets, dict):
            targets = {"class": "CharacterTargets"} | targets
        fields["classes"] = list(label_lines("text", targets))
    for name in ("orth", "raw"):
        fields[name] = [Line("field", "text"), Line("type", "bytes", "UTF-8, as RETURNN has it")]
    return fields


def _translation(options: Mapping[str, Any], corpus: str, _: Settings) -> Source:
    known = ("path", "file_postfix", "source_postfix", "target_postfix", "unknown_label", "source_only")
    folder, postfix = options.get("path"), options.get("file_postfix")
    unknown = options.get("unknown_label")
    files: dict[str, Any] = {}
    fields = {}
    for side, key in (("source", "data"), ("target", "classes")):
        if side == "target" and options.get("source_only"):
            continue
        files[side] = f"{folder}/{side}.{postfix}"
        label = unknown.get(key) if isinstance(unknown, Mapping) else unknown
        ending = options.get(f"{side}_postfix")
        fields[key] = list(words_of_lines(side, f"{folder}/{side}.vocab.txt", label, ending, pickled=True))
    comments = list(left_over(options, (*_ALWAYS, *known)))
    if found := find_unread([folder, postfix]):
        comments.append(not_read("files", found))
        files = {side: f"FILL-IN.{corpus}.{side}" for side in files}
    return Source(options, "text", files, "with .gz behind it where it is packed", comments, fields)


def _lm(options: Mapping[str, Any], corpus: str, _: Settings) -> Source:
    known = (
        *("corpus_file", "orth_vocab", "orth_symbols_file", "orth_symbols_map_file", "word_based"),
        *("seq_end_symbol", "unknown_symbol", "skip_empty_lines"),
    )
    vocab = options.get("orth_symbols_map_file") or options.get("orth_symbols_file")
    if isinstance(options.get("orth_vocab"), Mapping):
        lines = list(label_lines("text", options["orth_vocab"]))
    else:
        unknown = options.get("unknown_symbol", "[UNKNOWN]")
        lines = list(words_of_lines("text", "FILL-IN", unknown, options.get("seq_end_symbol", "[END]")))
        kind = "words" if options.get("word_based") else "chars"
        lines = [_vocab(vocab) if line.name == "vocab" else line for line in lines if line.name != "type"]
        lines.insert(1, Line("type", kind))
    comments = list(
        left_over(options, (*_ALWAYS, *known, "add_delayed_seq_data", "delayed_seq_data_start_symbol"))
    )
    fields = {"data": lines}
    if options.get("add_delayed_seq_data"):
        start = options.get("delayed_seq_data_start_symbol", "[START]")
        why = f"RETURNN puts {start!r} before it and leaves out the last label: shift it in the model"
        comments.append(note(f"delayed: data by one label; {why}"))
    files = _list(options.get("corpus_file"))
    names = [one for one in files if isinstance(one, str)]
    if len(names) < len(files):
        comments.append(not_read("files", files))
    return Source(options, "text", {"text": names or [f"FILL-IN.{corpus}.txt"]}, "", comments, fields)


def _vocab(value: Any) -> Line:
    if isinstance(value, str):
        return Line(
            "vocab", value, "a Python dict or a label a line; lines of a label and a number are not read"
        )
    return not_read("vocab", value)


def _meta(options: Mapping[str, Any], corpus: str, settings: Settings) -> Source:
    datasets, data_map = options.get("datasets"), options.get("data_map")
    if not isinstance(datasets, Mapping) or not isinstance(data_map, Mapping):
        return _dumped(options, corpus, settings)
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
        inner = dataset_options(datasets.get(name), settings)
        if isinstance(inner, Mapping):
            made[name] = source_of(inner, f"{corpus}.{name}", settings)
        else:
            lost = find_unread(inner) or Unread(0, f"datasets[{name!r}]")
            made[name] = Source({}, "hdf", [lost])
    return _joined(options, pairs, made, control)


def _joined(
    options: Mapping[str, Any], pairs: Mapping[str, Any], made: Mapping[str, Source], control: str
) -> Source:
    """The source that decides the order, with the others joined to it."""
    main = made[control]
    fields = {key: _renamed(made[name], inner) for key, (name, inner) in pairs.items()}
    keys_of = {name: [key for key, pair in pairs.items() if pair[0] == name] for name in made}
    comments = [*main.comments, *left_over(options, (*_ALWAYS, *_OF_META))]
    if options.get("seq_list_file"):
        comments.append(
            note(f"seq_list_file = {shown(options['seq_list_file'])}: no counterpart; tags must be the same")
        )
    by_length = [key for key, pair in pairs.items() if pair == (control, "data")]
    if by_length and "data" not in by_length:
        comments.insert(0, Line("length_key", by_length[0], f"the order is by lengths of {control}"))
    joins = [(source, keys_of[name]) for name, source in made.items() if name != control and keys_of[name]]
    order = {"seq_ordering": "default"} if options.get("seq_order_control_dataset") else {}
    own = {name: options[name] for name in ("chunking", "min_chunk_size") if name in options}
    return Source(
        options={**order, **main.options, **own},
        format=main.format,
        files=main.files,
        why=main.why,
        comments=comments,
        fields=fields,
        joins=joins,
    )


_OF_META = ("datasets", "data_map", "seq_order_control_dataset", "seq_list_file", "data_dims", "data_dtypes")


def _renamed(source: Source, inner: str) -> list[Line]:
    """What is known of a data key that another dataset calls ``inner``."""
    return source.fields.get(inner) or [Line("field", inner)]


def _concat(options: Mapping[str, Any], corpus: str, settings: Settings) -> Source:
    """Datasets behind one another, which are one corpus where they are of one format."""
    parts = options.get("datasets")
    inner = [dataset_options(one, settings) for one in parts] if isinstance(parts, list | tuple) else []
    sources = [source_of(one, corpus, settings) for one in inner if isinstance(one, Mapping)]
    alike = len({source.format for source in sources}) == 1 and len(sources) == len(inner)
    if not sources or not alike or isinstance(sources[0].files, Mapping):
        return _dumped(options, corpus, settings)
    first = sources[0]
    comments = [*first.comments, *left_over(options, (*_ALWAYS, "datasets"))]
    files = [name for source in sources for name in source.files]
    return Source(options, first.format, files, first.why, comments, first.fields)


def _combined(options: Mapping[str, Any], corpus: str, settings: Settings) -> Source:
    """Datasets of one format that give the same keys: one corpus of all their files."""
    parts, data_map = options.get("datasets"), options.get("data_map")
    if not isinstance(parts, Mapping) or not isinstance(data_map, Mapping):
        return _dumped(options, corpus, settings)
    inner = {str(name): dataset_options(one, settings) for name, one in parts.items()}
    sources = {
        name: source_of(one, corpus, settings) for name, one in inner.items() if isinstance(one, Mapping)
    }
    maps: dict[str, dict[str, str]] = {name: {} for name in inner}
    for pair, key in data_map.items():
        if isinstance(pair, tuple) and len(pair) == 2 and str(pair[0]) in maps:
            maps[str(pair[0])][str(pair[1])] = str(key)
    alike = [(source.format, maps[name]) for name, source in sources.items()]
    one_of_many = len(sources) == len(inner) > 0 and all(one == alike[0] for one in alike)
    if not one_of_many or any(isinstance(source.files, Mapping) for source in sources.values()):
        made = _dumped(options, corpus, settings)
        made.comments.append(
            note(f"or a corpus of each, [corpus.{corpus}.mix.NAME], with its share of an epoch")
        )
        return made
    first = next(iter(sources.values()))
    comments = [*first.comments, *left_over(options, (*_ALWAYS, "datasets", "data_map", "data_dims"))]
    files: list[Any] = []
    for name, source in sources.items():
        times = source.options.get("repeat_epoch")
        files += source.files * (times if isinstance(times, int) and 0 < times <= _MOST_REPEATS else 1)
        own = [name for name in ORDER_OPTIONS if name in source.options and name != "seq_ordering"]
        if own:
            comments.append(note(f"{name} alone: {', '.join(own)}, which concerns all files here"))
    fields = {key: _renamed(first, inner_key) for inner_key, key in alike[0][1].items()}
    why = "one corpus, in which the order is that of all" if len(sources) > 1 else ""
    return Source(options, first.format, files, why, comments, fields)


def _wrapped(options: Mapping[str, Any], corpus: str, settings: Settings) -> Source:
    """A dataset around another one."""
    inner = dataset_options(options.get("dataset"), settings)
    if not isinstance(inner, Mapping):
        return _dumped(options, corpus, settings)
    source = source_of(inner, corpus, settings)
    source.comments += left_over(
        options, (*_ALWAYS, "dataset", "num_workers", "buffer_size", "sharding_method")
    )
    if options["class"] == "PostprocessingDataset":
        source.comments.append(
            note("PostprocessingDataset: what it does to sequences belongs into the model")
        )
    outer = {name: options[name] for name in ORDER_OPTIONS if name in options}
    source.options = {**source.options, **outer}
    return source


def _list(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return [value] if isinstance(value, str | Unread | Function) else [Unread(0, shown(value))]


_CLASSES: dict[str, Callable[[Mapping[str, Any], str, Settings], Source]] = {
    "HDFDataset": _hdf,
    "OggZipDataset": _ogg_zip,
    "LibriSpeechCorpus": _librispeech,
    "TranslationDataset": _translation,
    "LmDataset": _lm,
    "MetaDataset": _meta,
    "ConcatDataset": _concat,
    "CombinedDataset": _combined,
    "MultiProcDataset": _wrapped,
    "PostprocessingDataset": _wrapped,
}
