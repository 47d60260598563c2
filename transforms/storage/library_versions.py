"""Versions of the libraries that decide the bytes of what is written."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module, metadata

# Per type of data key, and per kind of tokenizer, the distributions that turn its values into arrays.
_DECISIVE = {
    "audio": ("soundfile", "miniaudio", "soxr"),
    "log_mel": ("soundfile", "miniaudio", "soxr", "kaldi-native-fbank"),
    "mfcc": ("soundfile", "miniaudio", "soxr", "kaldi-native-fbank"),
    "subwords": ("tokenizers",),
    "sentencepiece": ("sentencepiece",),
}


def library_versions(kind: str) -> dict[str, str]:
    """Names and versions of the libraries that a type or kind depends on; those that are missing not."""
    versions = {}
    for name in _DECISIVE.get(kind, ()):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    if "soundfile" in versions:
        with suppress(ImportError, OSError):  # it may load the system's libsndfile
            versions["libsndfile"] = str(import_module("soundfile").__libsndfile_version__)
    return versions
