"""What the values of a field are: sound, numbers, text or a tag, and by what one tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqmill.pipelines.init.field_names import INPUT_NAMES, METADATA_NAMES, TAG_NAMES, TARGET_NAMES
from seqmill.pipelines.init.find_sources import SOUND_ENDINGS
from seqmill.pipelines.init.sample_records import Sample, is_sound_object
from seqmill.transforms.features.array_files import NPY_MAGIC, names_array, read_named, read_npy_bytes
from seqmill.transforms.features.sound.mp3 import is_mp3
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.readers.file_kind import kind_of
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.storage.ranges import counted

_SOUND = ("a RIFF file (WAV or the like)", "a FLAC file", "an Ogg file", "an MP3 file")
_NUMBERS = {"ints": r"[+-]?\d{1,9}", "floats": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"}
MOST_MISSING = 0.1
"""The largest share of records that may lack a field, and are rejected, before it is left out."""
_MOST_WORDS = 1000  # that may be labels as they stand
_MOST_ARRAY_BYTES = 1 << 28
_REPETITIONS = 4


@dataclass(frozen=True)
class Kind:
    """What a field holds.

    Attributes:
        field: Its dotted name.
        type: A type of data keys; ``tag`` for names of records, else empty.
        why: By what that was told; why the field is of no use where ``type`` is empty.
        num_dims: Of numbers, the dimensions of an array.
        lengths: Of each value seen; for sound not known here.
        is_single: Every value is one number or one label.
        is_metadata: By its name it describes the recording, or the speaker.
        is_path: Values are paths of files.
        is_distinct: Each record has another value.
        has_punctuation: Text has capitals beside small letters, or punctuation.
    """

    field: str
    type: str
    why: str
    num_dims: int = 1
    lengths: tuple[int, ...] = ()
    is_single: bool = False
    is_metadata: bool = False
    is_path: bool = False
    is_distinct: bool = False
    has_punctuation: bool = False

    @property
    def name(self) -> str:
        """The last part of the field's name, in small letters."""
        return self.field.rpartition(".")[2].lower()


def kinds_of(sample: Sample, find_root: Callable[[Sequence[str]], str | None]) -> list[Kind]:
    """What each field of some records holds.

    Args:
        sample: The records.
        find_root: The folder that paths of files start from; None where they lead nowhere.
    """
    return [_kind(sample, name, values, find_root) for name, values in sample.fields.items()]


def _kind(
    sample: Sample, name: str, values: list[Any], find_root: Callable[[Sequence[str]], str | None]
) -> Kind:
    missing = sample.num_records - len(values)
    if missing > MOST_MISSING * sample.num_records:
        return Kind(name, "", f"missing in {missing:,} of {counted(sample.num_records, 'record')}")
    first = values[0]
    if is_sound_object(first) or (isinstance(first, bytes) and _is_sound(first)):
        return Kind(name, "log_mel", "sound files inside of the records")
    if isinstance(first, bytes) and first.startswith(NPY_MAGIC):
        return _of_arrays(name, values, ".npy files inside of the records", _read_inside)
    if all(type(value) is bytes for value in values):
        try:
            values = [value.decode() for value in values]
        except UnicodeDecodeError:
            return Kind(name, "", "bytes of no kind known here")
    if all(type(value) is str for value in values):
        return _of_text(sample, name, values, find_root)
    if any(type(value) is bool for value in values):
        return Kind(name, "", "true or false")
    if all(isinstance(v, int | float | np.number) for v in values):
        return _of_single_numbers(name, values)
    if all(isinstance(v, list | np.ndarray) for v in values):
        if all(isinstance(v, list) and all(type(i) in (str, bytes) for i in v) for v in values):
            return Kind(name, "words", "lists of labels", lengths=tuple(map(len, values)))
        return _of_arrays(name, values, "lists of numbers", None)
    return Kind(name, "", f"neither text nor numbers ({type(first).__name__})")


def _is_sound(content: bytes) -> bool:
    return kind_of(content[:512]) in _SOUND or is_mp3(content[:65536])


def _of_text(
    sample: Sample, name: str, values: list[str], find_root: Callable[[Sequence[str]], str | None]
) -> Kind:
    plain = name.rpartition(".")[2].lower()
    if all(value.lower().endswith(SOUND_ENDINGS) for value in values):
        if find_root(values) is None:
            return Kind(name, "", f"names of recordings, but there is no file {values[0]!r}")
        ending = values[0].rpartition(".")[2].lower()
        is_distinct = len(set(values)) == len(values)
        return Kind(name, "log_mel", f"paths of {ending} files", is_path=True, is_distinct=is_distinct)
    if all(names_array(value) and re.search(r"\.npy$|\.ark:\d", value) for value in values):
        root = find_root(values)
        if root is None:
            return Kind(name, "", f"names of arrays, but there is no file {values[0]!r}")
        kind = _of_arrays(
            name, values, "paths of arrays", lambda v: read_named(v, root, _MOST_ARRAY_BYTES, {})
        )
        return replace(kind, is_path=True, is_distinct=len(set(values)) == len(values))
    if FORMATS[sample.format].is_text and (numbers := _of_numbers_in_text(name, values)) is not None:
        return numbers
    is_named_otherwise = INPUT_NAMES.fullmatch(plain) or TARGET_NAMES.fullmatch(plain)
    has_digits = all(re.fullmatch(r"\S*\d\S*", value) for value in values)
    is_tag = TAG_NAMES.fullmatch(plain) or (has_digits and not is_named_otherwise)
    if is_tag and len(set(values)) == len(values) and not any(re.search(r"\s", value) for value in values):
        return Kind(name, "tag", "another name without spaces in every record")
    if METADATA_NAMES.fullmatch(plain):
        return Kind(name, "words", "says something about the sequence", is_metadata=True)
    if not any(map(str.strip, values)):
        return Kind(name, "", "empty text")
    return _labels(name, values)


def _of_numbers_in_text(name: str, values: list[str]) -> Kind | None:
    """Numbers that stand as text in a table; None where they are none."""
    rows = [value.split() for value in values]
    for type_, pattern in _NUMBERS.items():
        if any(rows) and all(re.fullmatch(pattern, one) for row in rows for one in row):
            if all(len(row) == 1 for row in rows):
                return _of_single_numbers(name, [float(row[0]) for row in rows])
            return Kind(name, type_, "numbers separated by spaces", lengths=tuple(map(len, rows)))
    return None


def _labels(name: str, values: list[str]) -> Kind:
    """Text as ``words`` or ``chars``, by how often words come again."""
    words = [value.split() for value in values]
    counts = Counter(word for row in words for word in row)
    number = sum(counts.values())
    found = f"{number:,} words, {len(counts):,} different"
    if all(len(row) == 1 for row in words) and 2 * len(counts) <= number:
        return Kind(
            name,
            "words",
            f"one label each, {len(counts):,} different",
            lengths=(1,) * len(words),
            is_single=True,
        )
    if len(counts) <= _MOST_WORDS and number >= _REPETITIONS * len(counts) and len(values) > 1:
        return Kind(name, "words", f"{found}, which come again", lengths=tuple(map(len, words)))
    text = "".join(values)
    is_mixed = text not in (text.lower(), text.upper()) or re.search(r"[^\w\s']", text) is not None
    lengths = tuple(map(len, values))
    return Kind(name, "chars", f"free text: {found}", lengths=lengths, has_punctuation=is_mixed)


def _of_single_numbers(name: str, values: Sequence[Any]) -> Kind:
    plain = name.rpartition(".")[2].lower()
    if TAG_NAMES.fullmatch(plain):
        return Kind(name, "", "a number that names something")
    if METADATA_NAMES.fullmatch(plain):
        return Kind(name, "", "a number that says something about the sequence")
    if any(float(value) != int(value) for value in values if np.isfinite(float(value))):
        return Kind(name, "floats", "one number a record", lengths=(1,) * len(values), is_single=True)
    if len(set(map(float, values))) == len(values) > _REPETITIONS:
        return Kind(name, "", "another whole number in every record")
    return Kind(name, "ints", "one whole number a record", lengths=(1,) * len(values), is_single=True)


def _of_arrays(name: str, values: Sequence[Any], what: str, read: Callable[[Any], Any] | None) -> Kind:
    """Numbers as ``ints`` or ``floats``, by the first of the arrays that hold some."""
    try:
        arrays = [np.asarray(value if read is None else read(value)) for value in values[:20]]
    except (RejectedSequence, SeqmillError, ValueError, OSError) as error:
        return Kind(name, "", f"{what} that are not read: {error}")
    filled = [array for array in arrays if array.size]
    if not filled:
        return Kind(name, "", f"{what}, all empty")
    num_dims = max(array.ndim for array in filled)
    if num_dims > 2 or any(array.dtype.kind not in "iuf" or array.ndim != num_dims for array in filled):
        return Kind(name, "", f"{what}, but neither [T] nor [T, D]")
    lengths = tuple(len(array) if array.ndim else 1 for array in arrays)
    if num_dims == 2:
        widths = {array.shape[1] for array in filled}
        if len(widths) > 1:
            return Kind(name, "", f"{what}, with frames of different sizes")
        return Kind(name, "floats", f"{what}, [T, {widths.pop()}]", 2, lengths)
    is_float = any(array.dtype.kind == "f" for array in filled)
    is_single = all(length == 1 for length in lengths)
    return Kind(name, "floats" if is_float else "ints", f"{what}, [T]", 1, lengths, is_single)


def _read_inside(content: bytes) -> np.ndarray:
    return read_npy_bytes(content, _MOST_ARRAY_BYTES)
