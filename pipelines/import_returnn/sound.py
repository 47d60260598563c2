"""Data keys of sound, from the options of RETURNN's ``ExtractAudioFeatures``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqmill.pipelines.import_returnn.lines import left_over, not_read, note, option
from seqmill.pipelines.import_returnn.values import find_unread
from seqmill.pipelines.init.write_config import Line

_TYPES = {
    "raw": "audio",
    "mfcc": "mfcc",
    "log_mel_filterbank": "log_mel",
    "log_log_mel_filterbank": "log_mel",
}
_FILTERS = 40  # by default, in RETURNN
_FILTERS_OF_MFCC = 80  # librosa has 128, too many for a window of Kaldi's
_HANDLED = (
    *("features", "num_feature_filters", "window_len", "step_len", "sample_rate", "preemphasis"),
    *("peak_normalization", "norm_mean", "norm_std_dev", "random_state"),
)


def sound_lines(field: str, opts: Any) -> Iterator[Line]:
    """The lines of a data key of sound; ``opts`` is ``audio`` of a dataset."""
    yield Line("field", field)
    if not isinstance(opts, Mapping):
        yield Line("type", "log_mel", "a guess; audio was not read")
        yield not_read("audio", opts) if find_unread(opts) else note(f"audio = {opts!r}: not a table")
        return
    features = opts.get("features", "mfcc")
    kind = _TYPES.get(features) if isinstance(features, str) else None
    if kind is None:
        yield Line("type", "log_mel", f"a guess; RETURNN: {find_unread(features) or features}")
        kind = "log_mel"
    else:
        why = "" if kind == "audio" else f"{features} of RETURNN is librosa's, this is Kaldi's: other numbers"
        yield Line("type", kind, why)
    rate = opts.get("sample_rate")
    if rate is None:
        yield Line("sample_rate", 16000, "RETURNN takes that of the files; here others are resampled to this")
    else:
        yield option("sample_rate", rate, int)
    yield from _frames(kind, opts)
    yield from _processing(kind, opts)
    yield from left_over(opts, _HANDLED)


def _frames(kind: str, opts: Mapping[str, Any]) -> Iterator[Line]:
    if kind == "audio":
        return
    filters = opts.get("num_feature_filters") or _FILTERS
    if kind == "mfcc":
        yield option("num_ceps", filters, int)
        yield Line("num_mel_bins", max(_FILTERS_OF_MFCC, filters if isinstance(filters, int) else 0))
    else:
        yield option("num_mel_bins", filters, int)
    for name, ours in (("window_len", "window"), ("step_len", "hop")):
        if opts.get(name) is not None:
            yield option(ours, opts[name], float, int, convert=float)


def _processing(kind: str, opts: Mapping[str, Any]) -> Iterator[Line]:
    if opts.get("preemphasis") is not None:
        yield option("preemphasis", opts["preemphasis"], float, int, convert=float)
    elif kind != "audio":
        yield Line("preemphasis", 0.0, "RETURNN has none by default, Kaldi 0.97")
    if opts.get("peak_normalization", True):
        yield Line("peak_normalization", True, "" if "peak_normalization" in opts else "RETURNN's default")
    mean, deviation = opts.get("norm_mean"), opts.get("norm_std_dev")
    if mean is None and deviation is None:
        return
    given = {"mean": 0.0 if mean is None else mean, "stddev": 1.0 if deviation is None else deviation}
    if find_unread(given) is not None:
        yield not_read("normalization", given)
    elif kind == "audio" or not all(isinstance(one, str | float | int) for one in given.values()):
        yield note(f"norm_mean, norm_std_dev = {mean!r}, {deviation!r}: a layer of the model")
    elif "per_seq" in given.values():
        yield Line("normalization", "sequence")
    else:
        why = "statistics of librosa's features, which do not fit Kaldi's: better \"global\", counted anew"
        yield Line("normalization", given, why)
