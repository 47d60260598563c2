"""Data keys: the named arrays of a sequence, where they come from and what they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from seqmill.transforms.features.array_spec import BFLOAT16, FLOAT16, INT16
from seqmill.transforms.features.norm import GLOBAL, SEQUENCE, GivenNorm
from seqmill.transforms.features.special_labels import check_boundary, check_unk, misfits_of_labels
from seqmill.transforms.features.text_steps import Replacement, as_json, check_steps, versions_of
from seqmill.transforms.storage.checked_options import (
    is_absence,
    none_or,
    one_of,
    option_fields,
    whole_number,
)

LABEL_TYPES = ("chars", "words", "subwords")
AUDIO_TYPES = ("audio", "log_mel", "mfcc")
FLOAT_TYPES = ("floats", *AUDIO_TYPES)
TYPES = ("ints", "floats", "bytes", *LABEL_TYPES, *AUDIO_TYPES)

_DTYPES = {"ints": "int32", "bytes": "uint8", **dict.fromkeys(FLOAT_TYPES, "float32")}
_SMALL = {"float16": FLOAT16, "bfloat16": BFLOAT16, "int16": INT16}
_SMALL_OF_TYPE = {
    **dict.fromkeys(("floats", "log_mel", "mfcc"), ("float16", "bfloat16")),
    "audio": ("int16",),
}
_MEL_BINS_OF_MFCC = 23  # as in Kaldi
_BELONG_TO = {
    "dtype": FLOAT_TYPES,
    "frame_size": ("floats",),
    "vocab": ("chars", "words", "ints", "subwords"),
    "vocab_format": ("chars", "words", "ints", "subwords"),
    "tokenizer": ("subwords",),
    "max_labels": ("chars", "words"),
    "min_count": ("chars", "words"),
    "unk": LABEL_TYPES,
    "bos": LABEL_TYPES,
    "eos": LABEL_TYPES,
    "pad": LABEL_TYPES,
    "normalize": (*LABEL_TYPES, "bytes"),
    "sample_rate": AUDIO_TYPES,
    "channel": AUDIO_TYPES,
    "offset": AUDIO_TYPES,
    "duration": AUDIO_TYPES,
    "preemphasis": AUDIO_TYPES,
    "peak_normalization": AUDIO_TYPES,
    "num_mel_bins": ("log_mel", "mfcc"),
    "num_ceps": ("mfcc",),
    "window": ("log_mel", "mfcc"),
    "hop": ("log_mel", "mfcc"),
    "normalization": ("floats", "log_mel", "mfcc"),
}
_PROCESSING = ("preemphasis", "peak_normalization", "num_ceps", "normalization", "normalize")
"""Options that are part of fingerprints only where they are set, and stated in manifests then."""
_STATED = (*_PROCESSING, "unk", "bos", "eos", "pad", "sample_rate", "channel", "window", "hop")
"""Options that manifests state where they are set: with others the same number means something else."""
_LEFT_OUT = (*_PROCESSING, "vocab_format", "max_labels", "min_count", "unk", "pad")
"""Options that are part of fingerprints only where they are set."""
_STATISTICS = "statistics"  # which count by their numbers, not by where they come from


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_RESERVED = ("seq_tag", "seq_index", "chunk_start", "batch_index", "position", "tag_size", "..", ".")


def why_no_name(name: str) -> str | None:
    """Why a data key or a corpus cannot be called so; None where it can.

    >>> why_no_name("data"), why_no_name("../data")[:26]
    (None, "'../data' cannot be a name")
    """
    if _NAME.fullmatch(name) and name not in _RESERVED:
        return None
    expected = f"expected letters, digits, '_', '-' and '.', and none of {', '.join(_RESERVED)}"
    return f"{name!r} cannot be a name; {expected}"


def _channel(value: Any) -> Any:
    if value is not None and value != "mean" and not (type(value) is int and 0 <= value < 2**31):
        raise ValueError('expected "mean" or the number of a channel, from 0')
    return value


def _elements(value: Any) -> Any:
    return None if value is None or one_of("float32", *_SMALL)(value) == "float32" else value


def _seconds(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError("expected seconds, more than 0 and at most 1")
    return value


def _normalization(value: Any) -> Any:
    if value is None or is_absence(value):
        return None
    if isinstance(value, GivenNorm) or (isinstance(value, str) and value):
        return value
    if (
        isinstance(value, Mapping)
        and set(value) == {"mean", "stddev"}
        and all(map(_is_given, value.values()))
    ):
        return GivenNorm(**value)
    raise ValueError(
        f'expected "{SEQUENCE}", "{GLOBAL}", a file norm/<key>.json, or {{ mean = FILE or number, stddev = '
        "FILE or number }"
    )


def _is_given(value: Any) -> bool:
    return type(value) in (int, float) or (isinstance(value, str) and value != "")


def _coefficient(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError("expected a number from 0 to 1")
    return value


_Coefficient = Annotated[float, Field(strict=True), AfterValidator(_coefficient)]
_Seconds = Annotated[float, Field(strict=True), AfterValidator(_seconds)]
_Size = Annotated[int, BeforeValidator(whole_number(1, 2**31 - 1))]
_SizeOrNone = Annotated[int | None, BeforeValidator(none_or(whole_number(1, 2**31 - 1)))]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DataKey:
    """One data key, ``[data.<key>]`` of a configuration.

    Attributes:
        name: The key (``data``, ``classes``, …).
        field: Field of a record that holds it; dots reach into nested fields.
        type: One of ``TYPES``.
        vocab: File with one label a line, or a dict as RETURNN has it (``chars``, ``words``, ``ints``, and
            ``subwords`` of BPE codes), or ``"@data"`` for the vocabulary of the data key ``data``; where
            ``None``, counted over ``train`` (``chars``, ``words``).
        vocab_format: ``"fairseq"`` for a file of labels with their counts. A file that looks like one is
            refused without it, unless ``"plain"`` says that each line is a label.
        tokenizer: File of a Hugging Face tokenizer, a SentencePiece model, or BPE codes as subword-nmt has
            them (``subwords``).
        frame_size: Numbers of a frame where values are flat lists of them (``floats``).
        max_labels: Most labels of a counted vocabulary, special ones included (``chars``, ``words``).
        min_count: Labels that occur less often are not in a counted vocabulary (``chars``, ``words``).
        unk: The label that stands for those that the vocabulary lacks; ``False`` rejects their sequences.
            ``None`` is ``<unk>`` where a given vocabulary has that.
        bos: Put this label before the others; ``True`` is ``<s>``.
        eos: Put this label after the others; ``True`` is ``</s>``.
        pad: The label that batches are padded with. ``None`` is label 0, ``<pad>`` where labels are counted;
            of a SentencePiece model or a dictionary of fairseq its own.
        normalize: What is done to text before its labels are counted or looked up (labels, ``bytes``).
        sample_rate: Hz (``audio``, ``log_mel``, ``mfcc``); other rates are resampled.
        channel: Number of the channel to take, from 0, or ``"mean"`` of all (of sound).
            ``None`` averages those that a Lhotse-like cut names, or all.
        offset: Field of a record with the seconds before its part of a file; ``"none"`` for no such field.
            ``None`` heeds ``offset`` and ``start`` where they are numbers beside a path.
        duration: Field with the seconds of that part, likewise; ``None`` heeds ``duration``.
        preemphasis: Coefficient by which the sample before is subtracted from each (of sound). ``None``
            leaves ``audio`` as it is, and ``log_mel`` and ``mfcc`` to Kaldi's 0.97 within each window.
        peak_normalization: Scale a recording so that its loudest sample is 1 (of sound).
        num_mel_bins: Size of a ``log_mel`` frame; filters of ``mfcc``, where 23 is the default.
        num_ceps: Size of an ``mfcc`` frame.
        window: Length of the analysis window in seconds, at most 1 (``log_mel``, ``mfcc``).
        hop: Distance between frames in seconds, at most 1 (``log_mel``, ``mfcc``).
        normalization: Subtract the mean and divide by the standard deviation of each number of a frame:
            ``"sequence"`` of each sequence, ``"global"`` counted over ``train``, or statistics that are given
            (``floats``, ``log_mel``, ``mfcc``).
        dtype: Elements in store and shards, of half the bytes: ``"float16"`` or ``"bfloat16"`` (``floats``,
            ``log_mel``, ``mfcc``), ``"int16"`` (``audio``); ``None`` is float32, which batches are read as
            in any case.
    """

    name: str = Field(strict=True)
    field: str = Field(
        strict=True, min_length=1, description="field of a record (dots reach inside); default: the key"
    )
    type: Annotated[str, BeforeValidator(one_of(*TYPES))] = Field(description=f"one of {', '.join(TYPES)}")
    vocab: str | None = Field(
        None,
        strict=True,
        min_length=1,
        description="file with one label a line, or @KEY for another key's; default: counted over train",
    )
    vocab_format: Annotated[str | None, BeforeValidator(none_or(one_of("plain", "fairseq")))] = Field(
        None,
        description="fairseq: a label and its count a line; plain: one label a line; default: not fairseq",
    )
    tokenizer: str | None = Field(
        None,
        strict=True,
        min_length=1,
        description="file of a Hugging Face tokenizer, SentencePiece model, or BPE codes (subwords)",
    )
    frame_size: _SizeOrNone = Field(
        None, description="numbers of a frame where values are flat (floats); default: one"
    )
    max_labels: _SizeOrNone = Field(
        None,
        description="most labels of a counted vocabulary, special ones included (chars, words)",
    )
    min_count: _SizeOrNone = Field(
        None,
        description="how often a label of a counted vocabulary occurs at least (chars, words)",
    )
    unk: Annotated[bool | str | None, BeforeValidator(check_unk)] = Field(
        None,
        description="label that stands for unknown ones; false rejects them; default: <unk> if it is there",
    )
    bos: Annotated[bool | str, BeforeValidator(check_boundary)] = Field(
        False, description="put <s>, or the label that this names, before the labels"
    )
    eos: Annotated[bool | str, BeforeValidator(check_boundary)] = Field(
        False, description="put </s>, or the label that this names, after the labels"
    )
    pad: str | None = Field(
        None,
        strict=True,
        min_length=1,
        description="label that batches are padded with; default: label 0, which is <pad> where counted",
    )
    normalize: Annotated[tuple[str | Replacement, ...], BeforeValidator(check_steps)] = Field(
        (),
        description="list of what is done to text before its labels: lower, nfc, {regex, replace}, ...",
    )
    sample_rate: _Size = Field(16000, description="Hz (audio, log_mel, mfcc)")
    channel: Annotated[int | str | None, BeforeValidator(_channel)] = Field(
        None, description='"mean" or a number from 0 (of sound); default: mean, or what a cut names'
    )
    offset: str | None = Field(
        None,
        strict=True,
        min_length=1,
        description="field with the seconds before a record's part of a file, or none (of sound)",
    )
    duration: str | None = Field(
        None,
        strict=True,
        min_length=1,
        description="field with the seconds of that part, or none (of sound)",
    )
    preemphasis: _Coefficient | None = Field(
        None, description="coefficient, from 0 to 1 (of sound); default: none, or Kaldi's 0.97 in each window"
    )
    peak_normalization: bool = Field(
        False, strict=True, description="scale a recording so that its loudest sample is 1 (of sound)"
    )
    num_mel_bins: _Size = Field(80, description="size of a frame (log_mel); filters (mfcc; default 23)")
    num_ceps: _Size = Field(13, description="size of a frame (mfcc)")
    window: _Seconds = Field(0.025, description="window in seconds (log_mel, mfcc)")
    hop: _Seconds = Field(0.01, description="distance of frames in seconds (log_mel, mfcc)")
    normalization: Annotated[str | GivenNorm | None, BeforeValidator(_normalization)] = Field(
        None,
        description="mean and variance: sequence, global (counted over train), a file, or {mean, stddev} "
        "(floats, log_mel, mfcc); default: none",
    )
    dtype: Annotated[str | None, BeforeValidator(_elements)] = Field(
        None,
        description="elements in store and shards: float32 (the default), float16 or bfloat16 (floats, "
        "log_mel, mfcc), int16 (audio)",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_defaults_of_type(cls, values: Any) -> Any:
        given = values
        if isinstance(values, ArgsKwargs):
            given = {**dict(zip(option_fields(cls), values.args, strict=False)), **(values.kwargs or {})}
        if isinstance(given, dict) and given.get("type") == "mfcc":
            return {"num_mel_bins": _MEL_BINS_OF_MFCC, **given}
        return values

    @model_validator(mode="after")
    def _fits_type(self) -> DataKey:
        defaults = {option: field.default for option, field in option_fields(type(self)).items()}
        wrong = [
            f"{option} is an option of type {' or '.join(types)}, not of {self.type}"
            for option, types in _BELONG_TO.items()
            if self.type not in types and getattr(self, option) != defaults[option]
        ]
        if self.type == "subwords" and self.tokenizer is None:
            wrong.append("type subwords needs tokenizer = FILE")
        wrong += misfits_of_labels(self)
        small = _SMALL_OF_TYPE.get(self.type, ())
        if self.dtype is not None and small and self.dtype not in small:
            wrong.append(f"dtype of type {self.type}: expected float32 or {' or '.join(small)}")
        if self.type == "mfcc" and self.num_ceps > self.num_mel_bins:
            wrong.append(
                f"num_ceps = {self.num_ceps}: expected at most num_mel_bins, which is {self.num_mel_bins}"
            )
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    @property
    def decisive(self) -> dict[str, Any]:
        """Every option by name, without those that are left out where they are not set; versions."""
        fields = option_fields(type(self))
        options = {
            option: value
            for option, value in vars(self).items()
            if option not in _LEFT_OUT or value != fields[option].default
        }
        if self.has_statistics:
            options["normalization"] = _STATISTICS
        return {**options, "versions": versions_of(self.normalize)} if self.normalize else options

    @property
    def processing(self) -> dict[str, Any]:
        """What is done to values on their way to arrays, as a manifest says it: the options that are set."""
        fields = option_fields(type(self))
        values = {option: getattr(self, option) for option in _STATED}
        found = {option: value for option, value in values.items() if value != fields[option].default}
        if self.has_statistics:
            found["normalization"] = _STATISTICS
        if self.type == "mfcc":  # of which the shape of frames tells nothing
            found["num_mel_bins"] = self.num_mel_bins
        return {**found, "normalize": as_json(self.normalize)} if self.normalize else found

    @property
    def has_statistics(self) -> bool:
        """Whether frames are normalized by statistics, counted or given."""
        return self.normalization not in (None, SEQUENCE)

    @property
    def has_counted_norm(self) -> bool:
        """Whether those must be counted over ``train`` before anything is encoded."""
        return self.normalization == GLOBAL

    @property
    def elements(self) -> str:
        """The elements of the key's arrays in store and shards, as ``ArraySpec.dtype`` names them."""
        return self.batch_dtype.str if self.dtype is None else _SMALL[self.dtype]

    @property
    def batch_dtype(self) -> np.dtype:
        """The dtype of the key's arrays as encoders make them and models read them (little-endian)."""
        return np.dtype(_DTYPES.get(self.type, "int32")).newbyteorder("<")

    @property
    def labels_of(self) -> str:
        """The name of the data key whose vocabulary this one has: its own, or that which it shares."""
        is_shared = self.vocab is not None and self.vocab.startswith("@")
        return str(self.vocab)[1:] if is_shared else self.name

    @property
    def has_counted_vocab(self) -> bool:
        """Whether the labels must be counted over ``train`` before anything is encoded."""
        return self.type in ("chars", "words") and self.vocab is None
