"""The options of a source: files of one format, and how their records are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from seqmill.transforms.batches.per_epoch_options import Count, is_no_text
from seqmill.transforms.readers import FORMATS, TagLists
from seqmill.transforms.storage.checked_options import (
    Options,
    did_you_mean,
    none_or,
    one_of,
    says_all,
    whole_number,
)

MOST_SHARE = 1_000_000
Share = Annotated[int, BeforeValidator(whole_number(1, MOST_SHARE))]


def _text(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError('expected text, or "none"')
    return value


def _files(value: Any) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
    if isinstance(value, dict):
        value = {field: [paths] if isinstance(paths, str) else paths for field, paths in value.items()}
    lists = value.values() if isinstance(value, dict) else [value]
    if not all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in lists):
        raise ValueError('expected a list such as ["train.jsonl"], or for text a table { key = ["file"] }')
    if not lists or not all(lists) or not all(map(all, lists)):
        raise ValueError("expected at least one file, and no empty name")
    if isinstance(value, dict):
        return {field: tuple(paths) for field, paths in value.items()}
    return tuple(value)


_TextOrNone = Annotated[str | None, BeforeValidator(none_or(_text, is_no_text))]


class ReadingOptions(Options):
    """How records of a source are read."""

    max_record_size: Count = Field(256_000_000, description="reject larger records (bytes)")
    quoting: bool | None = Field(
        None, description="whether quotes enclose fields; default: true for csv, false for tsv"
    )
    audio_root: _TextOrNone = Field(
        None, description="folder that audio paths start from; default: that of the file that names them"
    )
    seq_tag: _TextOrNone = Field(
        None, description="field that holds a tag; default: the format's own, or <file name>:<position>"
    )


class SourceOptions(ReadingOptions):
    """A source."""

    format: Annotated[str, BeforeValidator(one_of(*FORMATS))] = Field(
        description=f"one of {', '.join(FORMATS)}"
    )
    files: Annotated[tuple[str, ...] | Mapping[str, tuple[str, ...]], BeforeValidator(_files)] = Field(
        description="files or patterns; for text a table with one list (or one file) per data key"
    )
    only_tags: _TextOrNone = Field(None, description="file with a tag a line: only these sequences are read")
    not_tags: _TextOrNone = Field(None, description="file with a tag a line: these sequences are left out")

    @model_validator(mode="after")
    def _fit_their_format(self, info: ValidationInfo) -> SourceOptions:
        wrong = []
        fields = self.fields_of_keys(info.context or {})
        if (self.format == "text") != isinstance(self.files, Mapping):
            expected = "a table { key = [files] }" if self.format == "text" else "a list of files"
            wrong.append(f"files: format {self.format} expects {expected}")
        elif isinstance(self.files, Mapping) and fields and set(self.files) != set(fields):
            wrong.append(
                f"files: found files for {', '.join(self.files)}; expected them for the fields of the data "
                f"keys, {', '.join(fields)}"
            )
        if self.quoting is not None and self.format not in ("csv", "tsv"):
            wrong.append(f"quoting is an option of formats csv and tsv, not of {self.format}")
        if self.audio_root is not None and self.format == "librispeech":
            wrong.append("audio_root is no option of format librispeech, whose sound lies beside the text")
        for option, given in (("only_tags", self.only_tags), ("not_tags", self.not_tags)):
            if given is not None and self.seq_tag is None:
                wrong.append(f"{option} needs tags in the data: seq_tag = FIELD")
        if wrong:
            raise says_all("\n".join(wrong))
        return self

    def fields_of_keys(self, context: Mapping[str, Any]) -> Sequence[str]:
        """The fields of the data keys, in their order; none where these are not known."""
        found: Sequence[str] = context.get("fields", ())
        return found

    @property
    def tag_lists(self) -> TagLists | None:
        """Which sequences are read; None for all."""
        if self.seq_tag is None or (self.only_tags is None and self.not_tags is None):
            return None
        return TagLists(self.seq_tag, self.only_tags, self.not_tags)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError('expected a list of data keys such as ["classes"]')
    return tuple(value)


def _fields(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(name, str) and name for name in value.values()):
        raise ValueError('expected a table { key = "field" }')
    return value


def _tables(value: Any) -> Any:
    tables = [value] if isinstance(value, dict) else value
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ValueError("expected a table [corpus.<name>.join], or several [[corpus.<name>.join]]")
    return tuple(tables)


class TableOptions(SourceOptions):
    """A source in a table of a corpus, which inherits nothing."""

    fields: Annotated[Mapping[str, str], BeforeValidator(_fields)] = Field(
        default_factory=dict,
        description="per data key the field that holds it here, where data.<key>.field says another",
    )

    def fields_of_keys(self, context: Mapping[str, Any]) -> Sequence[str]:
        """See SourceOptions."""
        names = zip(context.get("data_keys", ()), context.get("fields", ()), strict=False)
        return [self.fields.get(key, field) for key, field in names]

    @model_validator(mode="after")
    def _has_these_fields(self, info: ValidationInfo) -> TableOptions:
        known = (info.context or {}).get("data_keys", ())
        wrong = [
            f"fields: no data key {key!r}; expected {', '.join(known)}{did_you_mean(key, known)}"
            for key in self.fields
            if known and key not in known
        ]
        if wrong:
            raise says_all("\n".join(wrong))
        return self

    @model_validator(mode="before")
    @classmethod
    def _with_tag_of_format(cls, values: Any) -> Any:
        form = FORMATS.get(str(values.get("format"))) if isinstance(values, dict) else None
        return values if form is None or "seq_tag" in values else {**values, "seq_tag": form.tag}


class JoinOptions(TableOptions):
    """``[corpus.<name>.join]``: a source that gives data keys to the sequences of a corpus, by their tags."""

    data_keys: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        description="the data keys that it gives"
    )

    @model_validator(mode="after")
    def _can_be_joined(self, info: ValidationInfo) -> JoinOptions:
        known = (info.context or {}).get("data_keys", ())
        wrong = [
            f"data_keys: no data key {key!r}; expected {', '.join(known)}{did_you_mean(key, known)}"
            for key in self.data_keys
            if known and key not in known
        ]
        if self.seq_tag is None:
            wrong.append(f"format {self.format} is joined by tags: seq_tag = FIELD")
        if wrong:
            raise says_all("\n".join(wrong))
        return self


class JoinedOptions(SourceOptions):
    """A source whose sequences may take data keys from others."""

    join: Annotated[tuple[JoinOptions, ...], BeforeValidator(_tables)] = Field(
        (), description="a table, or several: sources of further data keys, joined by tag"
    )

    @model_validator(mode="after")
    def _can_take_data_keys(self) -> JoinedOptions:
        if not self.join:
            return self
        wrong = []
        if self.seq_tag is None:
            wrong.append(f"join: format {self.format} of the corpus is joined by tags: seq_tag = FIELD")
        joined = Counter(key for source in self.join for key in source.data_keys)
        wrong += [f"join: data key {key} is given {n} times" for key, n in joined.items() if n > 1]
        if wrong:
            raise says_all("\n".join(wrong))
        return self


class MixOptions(TableOptions, JoinedOptions):
    """``[corpus.train.mix.<name>]``: a source whose sequences are mixed into the epochs of ``train``."""

    share: Share = Field(
        description="sequences of it in an epoch, against the share of the corpus' own files"
    )
