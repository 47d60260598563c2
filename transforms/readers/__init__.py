"""Readers of raw corpora: what a corpus is split into, and the records of one split."""

from seqmill.transforms.readers.fields import get_field
from seqmill.transforms.readers.formats import (
    FORMATS,
    declared_labels,
    expected_in_folder,
    files_of_folder,
    open_split,
    split_corpus,
)
from seqmill.transforms.readers.split import Reader, ReadOptions, Split, TagLists

__all__ = [
    "FORMATS",
    "ReadOptions",
    "Reader",
    "Split",
    "TagLists",
    "declared_labels",
    "expected_in_folder",
    "files_of_folder",
    "get_field",
    "open_split",
    "split_corpus",
]
