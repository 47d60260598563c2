"""Where the sequences of a RETURNN dataset come from, class by class."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from seqmill.pipelines.import_returnn.labels import label_lines, words_of_lines
from seqmill.pipelines.import_returnn.lines import left_over, not_read, note, shown
from seqmill.pipelines.import_returnn.nested import NESTED
from seqmill.pipelines.import_returnn.orders import sorts_by_length
from seqmill.pipelines.import_returnn.read_config import Settings
from seqmill.pipelines.import_returnn.sound import sound_lines
from seqmill.pipelines.import_returnn.source import ALWAYS, Source, as_list, dumped
from seqmill.pipelines.import_returnn.values import Function, Unread, find_unread
from seqmill.pipelines.init.write_config import Line

_PARTS_OF_LIBRISPEECH = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean", "test-other"),
)
_OF_OGG_ZIP = ("path", "audio", "targets", "content_name", "resolve_symlink_for_name")


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
    if isinstance(kind, str) and kind in NESTED:
        return NESTED[kind](options, corpus, partial(_inside, settings))
    make = _CLASSES.get(kind) if isinstance(kind, str) else None
    return make(options, corpus) if make is not None else dumped(options, corpus)


def _inside(settings: Settings, value: Any, corpus: str) -> Source | Unread:
    """The source that a dataset inside of another one is, or why it is not known."""
    options = dataset_options(value, settings)
    if isinstance(options, Mapping):
        return source_of(options, corpus, settings)
    return find_unread(options) or Unread(0, shown(options))


def _hdf(options: Mapping[str, Any], _: str) -> Source:
    comments = list(left_over(options, (*ALWAYS, "files")))
    return Source(options, "hdf", as_list(options.get("files")), comments=comments)


def _ogg_zip(options: Mapping[str, Any], _: str) -> Source:
    comments = list(left_over(options, (*ALWAYS, *_OF_OGG_ZIP, "zip_audio_files_have_name_as_prefix")))
    paths = as_list(options.get("path"))
    lists = [one for one in paths if isinstance(one, str) and not one.endswith(".zip")]
    if lists:
        why = "lists of entries are read inside of their archives: zip -j NAME.zip NAME.txt"
        comments.append(note(f"path: {', '.join(map(shown, lists))}: {why}"))
    if sorts_by_length(options):
        comments.append(
            note("RETURNN orders by the archive's durations, in hundredths of a second; here by frames")
        )
    fields = _sound_and_text(options)
    return Source(
        options, "ogg_zip", [one for one in paths if one not in lists], comments=comments, fields=fields
    )


def _librispeech(options: Mapping[str, Any], corpus: str) -> Source:
    known = ("path", "audio", "targets", "bpe", "chars", "prefix", "use_zip", "use_ogg", "subdirs")
    path, prefix = options.get("path"), options.get("prefix")
    parts = [part for part in _PARTS_OF_LIBRISPEECH if part.startswith(str(prefix or ""))]
    files: Any = [f"{path}/{part}" for part in parts] if isinstance(path, str) and parts else [path]
    why = "unpacked folders as LibriSpeech is distributed; RETURNN reads archives of them"
    comments = list(left_over(options, (*ALWAYS, *known)))
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


def _translation(options: Mapping[str, Any], corpus: str) -> Source:
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
    comments = list(left_over(options, (*ALWAYS, *known)))
    if found := find_unread([folder, postfix]):
        comments.append(not_read("files", found))
        files = {side: f"FILL-IN.{corpus}.{side}" for side in files}
    return Source(options, "text", files, "with .gz behind it where it is packed", comments, fields)


def _lm(options: Mapping[str, Any], corpus: str) -> Source:
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
        left_over(options, (*ALWAYS, *known, "add_delayed_seq_data", "delayed_seq_data_start_symbol"))
    )
    fields = {"data": lines}
    if options.get("add_delayed_seq_data"):
        start = options.get("delayed_seq_data_start_symbol", "[START]")
        why = f"RETURNN puts {start!r} before it and leaves out the last label: shift it in the model"
        comments.append(note(f"delayed: data by one label; {why}"))
    files = as_list(options.get("corpus_file"))
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


_CLASSES: dict[str, Callable[[Mapping[str, Any], str], Source]] = {
    "HDFDataset": _hdf,
    "OggZipDataset": _ogg_zip,
    "LibriSpeechCorpus": _librispeech,
    "TranslationDataset": _translation,
    "LmDataset": _lm,
}
