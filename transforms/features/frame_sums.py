"""Exact sums over frames, from which mean and variance follow: the same in whatever order they are added."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seqmill.transforms.features.norm import Norm

_MANTISSA = 24  # bits of a float32
_LEAST = -148  # exponent of the least float32, as np.frexp has it
_UNIT = _MANTISSA - _LEAST  # every float32 is a whole multiple of 2 ** -_UNIT
_BLOCK = 1 << 20  # numbers that are added at once; sums of 2 ** 29 would no longer be exact


class FrameSums:
    """Sums of the numbers of frames and of their squares, as whole numbers, without any rounding.

    Floating-point sums depend on the order of their parts, and so on how a corpus is cut. A float32 is a
    whole number of at most 24 bits times a power of two: for each such power the whole numbers are added.

    Args:
        size: Numbers of a frame.

    >>> sums = FrameSums(2)
    >>> sums.add(np.array([[1, 5], [3, 5]], np.float32))
    >>> sums.norm()
    Norm(mean=(2.0, 5.0), stddev=(1.0, 0.0), num_frames=2, format='seqmill.norm/1')
    """

    def __init__(self, size: int):
        self.num_frames = 0
        self._size = size
        self._sums = [0] * size
        self._squares = [0] * size
        self._by_exponent: dict[int, np.ndarray] = {}

    def add(self, frames: np.ndarray) -> None:
        """Adds finite frames, float32 [n, size] (or [n], if a frame is one number)."""
        frames = frames.reshape(-1, self._size)
        self.num_frames += len(frames)
        rows = max(1, _BLOCK // self._size)
        for start in range(0, len(frames), rows):
            self._add(frames[start : start + rows])

    def merge(self, part: dict[str, Any]) -> None:
        """Adds the sums that ``content`` of others gave."""
        self.num_frames += part["num_frames"]
        for mine, theirs in ((self._sums, part["sums"]), (self._squares, part["squares"])):
            mine[:] = [one + int(other, 16) for one, other in zip(mine, theirs, strict=True)]

    def content(self) -> dict[str, Any]:
        """The sums in units of 2 ** -172 and of its square, as hexadecimal numbers, for JSON."""
        self._settle()
        return {
            "num_frames": self.num_frames,
            "sums": [f"{number:x}" for number in self._sums],
            "squares": [f"{number:x}" for number in self._squares],
        }

    def norm(self) -> Norm:
        """Mean and standard deviation, each the float64 next to the exact value; 0 of no frames."""
        self._settle()
        count = max(self.num_frames, 1)
        pairs = list(zip(self._sums, self._squares, strict=True))
        mean = tuple(total / (count << _UNIT) for total, _ in pairs)
        variances = [(count * squares - total**2) / (count**2 << 2 * _UNIT) for total, squares in pairs]
        return Norm(mean, tuple(map(math.sqrt, variances)), self.num_frames)

    def _add(self, frames: np.ndarray) -> None:
        mantissas, exponents = np.frexp(frames.ravel())
        numbers = np.ldexp(mantissas, _MANTISSA).astype(np.int64)
        least = int(exponents.min())
        places = (exponents - least) * np.int64(self._size) + np.tile(np.arange(self._size), len(frames))
        squares = numbers * numbers
        low = squares & ((1 << _MANTISSA) - 1)
        # bincount adds in float64, which holds sums of whole numbers exactly up to 2 ** 53.
        added = [np.bincount(places, part) for part in (numbers, squares >> _MANTISSA, low)]
        width = -(-len(added[0]) // self._size)
        table = np.zeros((3, width * self._size), np.int64)
        table[:, : len(added[0])] = added
        for row, sums in enumerate(np.moveaxis(table.reshape(3, width, self._size), 1, 0)):
            if sums.any():
                exponent = least + row
                self._by_exponent[exponent] = self._by_exponent.get(exponent, 0) + sums

    def _settle(self) -> None:
        """Takes what was added by exponent into the sums."""
        for exponent, (sums, high, low) in self._by_exponent.items():
            shift = exponent - _LEAST
            for place, parts in enumerate(zip(sums.tolist(), high.tolist(), low.tolist(), strict=True)):
                self._sums[place] += parts[0] << shift
                self._squares[place] += ((parts[1] << _MANTISSA) + parts[2]) << 2 * shift
        self._by_exponent = {}
