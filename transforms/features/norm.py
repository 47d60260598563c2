"""Mean and standard deviation by which frames are normalized, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed

FORMAT = "seqmill.norm/1"
SEQUENCE, GLOBAL = "sequence", "global"
WORDS = ("none", SEQUENCE, GLOBAL)

_Number = Annotated[float, Field(allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class GivenNorm:
    """Where mean and standard deviation stand: a number for all of a frame, or a file of a number for each.

    Attributes:
        mean: A number, or a file: text as RETURNN and ``numpy.savetxt`` write it, or ``.npy``.
        stddev: Likewise.
    """

    mean: float | str
    stddev: float | str


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Norm:
    """Statistics of the frames of a data key.

    Attributes:
        mean: Of each number of a frame, or one for all of them.
        stddev: Likewise; where it is 0, frames are not divided.
        num_frames: Frames that were counted; ``None`` where that is not known.

    >>> Norm((0.5, 2.0), (1.0, 0.0)).problem((3,))
    'mean has 2 numbers, and a frame has 3'
    """

    mean: tuple[_Number, ...] | _Number
    stddev: tuple[_NotNegative, ...] | _NotNegative
    num_frames: int | None = None
    format: str = FORMAT

    def problem(self, feature_shape: tuple[int, ...]) -> str | None:
        """Why frames of this shape cannot be normalized by it; ``None`` where they can."""
        expected = feature_shape[0] if feature_shape else 1
        for what in ("mean", "stddev"):
            value = getattr(self, what)
            if isinstance(value, tuple) and len(value) != expected:
                return f"{what} has {len(value):,} numbers, and a frame has {expected:,}"
        return None


_ADAPTER = TypeAdapter(Norm)


def write_norm(path: str, norm: Norm) -> None:
    """Writes statistics as JSON, whole or not at all."""
    write_sealed(path, _ADAPTER, norm)


def read_norm(path: str) -> Norm:
    """Statistics that ``write_norm`` wrote. Raises SeqmillError where they are not there, or changed."""
    norm: Norm = read_sealed(path, _ADAPTER, FORMAT, "no statistics (`seqmill ingest` counts them)")
    return norm


def check_norms(norms: Mapping[str, Norm], data_keys: Mapping[str, ArraySpec]) -> None:
    """Raises UsageError where statistics are of frames of another size than those of their data key."""
    for name, norm in norms.items():
        if problem := norm.problem(data_keys[name].feature_shape):
            raise UsageError(f"data.{name}.normalization: {problem}")
