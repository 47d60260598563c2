"""The input formats by name: splitting a corpus, and opening a split.

A format's reader is imported where something is of that format: a run loads what it reads with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seqmill.transforms.readers.split import Reader, ReadOptions, Split
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import UsageError


@dataclass(frozen=True)
class Format:
    """What is known of a format without its reader.

    Attributes:
        version: Raised when the same file would give other records.
        tag: The field in which every record has a tag that the format itself gives it.
        holds_values: Whether files hold arrays and sound themselves, not text or names of files.
        is_cut_by_bytes: Whether splits begin and end at bytes of their files.
        is_text: Whether values are text, numbers too.
        names_files: Whether lines are names of files, which take far longer to read than the lines.
    """

    version: int
    tag: str | None = None
    holds_values: bool = False
    is_cut_by_bytes: bool = True
    is_text: bool = False
    names_files: bool = False


FORMATS = {
    "jsonl": Format(3),
    "text": Format(3, is_text=True),
    "csv": Format(3, is_text=True),
    "tsv": Format(3, is_text=True),
    "parquet": Format(2, holds_values=True, is_cut_by_bytes=False),
    "tfrecord": Format(2, holds_values=True),
    "hdf": Format(1, tag="seq_tag", holds_values=True, is_cut_by_bytes=False),
    "ogg_zip": Format(1, tag="seq_tag", holds_values=True, is_cut_by_bytes=False),
    "arrow": Format(1, holds_values=True, is_cut_by_bytes=False),
    "webdataset": Format(1, tag="seq_tag", holds_values=True),
    "lhotse": Format(2, tag="seq_tag"),
    "librispeech": Format(1, tag="seq_tag", names_files=True),
    "kaldi": Format(2, tag="seq_tag", is_text=True, names_files=True),
}


def split_corpus(
    format: str,
    paths: Sequence[str] | Mapping[str, Sequence[str]],
    target_bytes: int,
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
    fields: Sequence[str] = (),
) -> list[Split]:
    """Splits a corpus into parts of about ``target_bytes``, in corpus order.

    The result depends on the files and on the arguments alone. Compressed files are not split.

    Args:
        format: One of ``FORMATS``.
        paths: Files in corpus order; for ``text`` such a list per data key, read side by side.
        target_bytes: Size of a split; uncompressed bytes for ``parquet``.
        options: How the files are read.
        fields: Dotted names of the fields that will be asked for; columns (``csv``, ``tsv``, ``parquet``)
            must be there.

    Raises:
        UsageError: There is no such format, or ``paths`` has the wrong form for it.
        SeqmillError: A file is missing, lacks a column, or cannot be read as this format at all.
    """
    if isinstance(paths, Mapping):
        if format != "text":
            raise UsageError(f"format {format!r} takes a list of files, not one per data key")
        from seqmill.transforms.readers.text import split_text

        return split_text(paths, target_bytes, options)
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}; expected one of {', '.join(FORMATS)}")
    splits = [
        replace(split, listing=listing)
        for listing, path in enumerate(paths)
        for split in _split_file(format, path, target_bytes, options, fields)
    ]
    if format == "tfrecord":
        from seqmill.transforms.readers.example_records import list_features

        lists = list_features(splits)
        splits = [replace(split, lists=lists) for split in splits]
    return splits


def open_split(split: Split, fields: Sequence[str], optional: Sequence[str] = ()) -> Reader:
    """A reader of one split.

    Args:
        split: One of those that ``split_corpus`` returned.
        fields: Dotted names of the fields that will be asked for; records may lack all others.
        optional: Names of further fields that will be asked for and that the corpus need not have.
    """
    if split.tags is not None:
        from seqmill.transforms.readers.tag_lists import SelectedReader

        wanted = list(dict.fromkeys([*fields, split.tags.field]))
        return SelectedReader(open_split(replace(split, tags=None), wanted, optional), split.tags)
    match split.format:
        case "jsonl":
            from seqmill.transforms.readers.jsonl import JsonlReader

            return JsonlReader(split, fields, optional)
        case "text":
            from seqmill.transforms.readers.text import TextReader

            return TextReader(split)
        case "csv" | "tsv":
            from seqmill.transforms.readers.delimited import DelimitedReader

            return DelimitedReader(split)
        case "parquet":
            from seqmill.transforms.readers.parquet import ParquetReader

            return ParquetReader(split, [*fields, *optional])
        case "hdf":
            from seqmill.transforms.readers.hdf import HdfReader

            return HdfReader(split, [*fields, *optional])
        case "ogg_zip":
            from seqmill.transforms.readers.ogg_zip import OggZipReader

            return OggZipReader(split, [*fields, *optional])
        case "arrow":
            from seqmill.transforms.readers.arrow import ArrowReader

            return ArrowReader(split, [*fields, *optional])
        case "webdataset":
            from seqmill.transforms.readers.webdataset import WebDatasetReader

            return WebDatasetReader(split, [*fields, *optional])
        case "lhotse":
            from seqmill.transforms.readers.lhotse import LhotseReader

            return LhotseReader(split, [*fields, *optional])
        case "librispeech":
            from seqmill.transforms.readers.transcripts import TranscriptsReader

            return TranscriptsReader(split, [*fields, *optional])
        case "kaldi":
            from seqmill.transforms.readers.kaldi import KaldiReader

            return KaldiReader(split)
        case _:
            from seqmill.transforms.readers.example_records import ExampleReader

            return ExampleReader(split, [*fields, *optional])


def files_of_folder(format: str, folder: str) -> list[str] | None:
    """What to read where a folder is given in place of files; None where the format has no folders."""
    match format:
        case "kaldi":
            from seqmill.transforms.readers.kaldi import MAIN_FILES

            paths = [files.join(folder, name) for name in MAIN_FILES]
            return [path for path in paths if files.is_file(path)][:1]
        case "librispeech":
            from seqmill.transforms.readers.transcripts import PATTERN

            return files.expand(files.join(folder, PATTERN))
        case "arrow":
            from seqmill.transforms.readers.hugging_face import files_in_folder

            return files_in_folder(folder)
    return None


def expected_in_folder(format: str) -> str | None:
    """What a folder that is given in place of files must hold; None where the format has no folders."""
    match format:
        case "kaldi":
            from seqmill.transforms.readers.kaldi import MAIN_FILES

            return f"one of {', '.join(MAIN_FILES)}"
        case "librispeech":
            return "files *.trans.txt, at any depth"
        case "arrow":
            return "what save_to_disk writes (state.json, *.arrow)"
    return None


def declared_labels(split: Split, field: str) -> tuple[str, ...] | None:
    """What the numbers of a field stand for, where the split's file says so.

    Raises:
        SeqmillError: The file cannot be read, or cannot mean what it says.
    """
    match split.format:
        case "hdf":
            from seqmill.transforms.readers import hdf_layout

            return hdf_layout.declared_labels(split.source, field)
        case "arrow":
            from seqmill.transforms.readers import arrow

            return arrow.declared_labels(split.source, field)
        case "parquet":
            from seqmill.transforms.readers import parquet

            return parquet.declared_labels(split.source, field)
    return None


def field_names(split: Split, num_records: int) -> list[str] | None:
    """The fields to ask for to see all that a split's first records hold; None where they hold it anyway.

    Raises:
        SeqmillError: The split's file cannot be read.
    """
    match split.format:
        case "parquet":
            from seqmill.transforms.readers import parquet

            return parquet.field_names(split.source)
        case "arrow":
            from seqmill.transforms.readers import arrow

            return arrow.field_names(split.source)
        case "hdf":
            from seqmill.transforms.readers import hdf

            return hdf.field_names(split.source)
        case "kaldi":
            from seqmill.transforms.readers import kaldi

            return kaldi.field_names(split.source)
        case "webdataset":
            from seqmill.transforms.readers import webdataset

            return webdataset.field_names(split, num_records)
        case "ogg_zip" | "librispeech":
            return ["audio"]
    return None


def _split_file(
    format: str, path: str, target_bytes: int, options: ReadOptions, fields: Sequence[str]
) -> list[Split]:
    match format:
        case "jsonl":
            from seqmill.transforms.readers.jsonl import split_jsonl

            return split_jsonl(path, target_bytes, options)
        case "csv" | "tsv":
            from seqmill.transforms.readers.delimited import split_delimited

            return split_delimited(format, path, target_bytes, options, fields)
        case "parquet":
            from seqmill.transforms.readers.parquet import split_parquet

            return split_parquet(path, target_bytes, options, fields)
        case "tfrecord":
            from seqmill.transforms.readers.example_records import split_tfrecord

            return split_tfrecord(path, target_bytes, options)
        case "hdf":
            from seqmill.transforms.readers.hdf import split_hdf

            return split_hdf(path, target_bytes, options, fields)
        case "ogg_zip":
            from seqmill.transforms.readers.ogg_zip import split_ogg_zip

            return split_ogg_zip(path, target_bytes, options)
        case "arrow":
            from seqmill.transforms.readers.arrow import split_arrow

            return split_arrow(path, target_bytes, options, fields)
        case "webdataset":
            from seqmill.transforms.readers.webdataset import split_webdataset

            return split_webdataset(path, target_bytes, options)
        case "lhotse":
            from seqmill.transforms.readers.lhotse import split_lhotse

            return split_lhotse(path, target_bytes, options)
        case "librispeech":
            from seqmill.transforms.readers.transcripts import split_transcripts

            return split_transcripts(path, options)
        case "kaldi":
            from seqmill.transforms.readers.kaldi import split_kaldi

            return split_kaldi(path, target_bytes, options, fields)
    raise UsageError("format 'text' takes a list of files for every data key")
