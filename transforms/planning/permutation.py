"""A keyed bijection of 0 … n-1, computed by arithmetic in O(1) memory and invertible.

A Feistel network over the smallest power of two that holds n, with cycle walking: a value of n or more
is enciphered again until it falls below n (format-preserving encryption as in Black & Rogaway, 2002,
"Ciphers with Arbitrary Finite Domains"). Up to 65,536, where few bits would make it prefer some
permutations, a table sorted by hash values instead. It is not meant to be secret, only well mixed. The
values are part of the file format: a golden test guards them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

_ROUNDS = 8
_TABLE_BITS = 16  # domains up to this size are a table, not a network
_BLOCK = 1 << 15  # small enough for the intermediate arrays to stay in the cache


@dataclass(frozen=True)
class Permutation:
    """The permutation of 0 … n-1 that (seed, number) selects.

    Attributes:
        n: Size of the domain.
        seed: Any integer of 64 bits.
        number: Which permutation of this seed, for example the epoch; any integer of 64 bits.

    >>> shuffled = Permutation(10**12, seed=1, number=0)  # of any size, without a table
    >>> shuffled.invert(shuffled(np.array([0, 7]))).tolist()
    [0, 7]
    """

    n: int
    seed: int
    number: int

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """The values at ``positions`` (integers [m], each in 0 … n-1) as int64 [m]."""
        if self.n <= 1 << _TABLE_BITS:
            return self._table()[positions]
        return self._in_blocks(positions, range(_ROUNDS))

    def invert(self, values: np.ndarray) -> np.ndarray:
        """The positions at which ``values`` stand, int64 [m]."""
        if self.n <= 1 << _TABLE_BITS:
            return np.argsort(self._table())[values]
        return self._in_blocks(values, range(_ROUNDS - 1, -1, -1))

    def _table(self) -> np.ndarray:
        """All values, int64 [n]: positions sorted by 48 hash bits each."""
        place_mask = np.uint64((1 << _TABLE_BITS) - 1)
        hashes = np.frombuffer(self._hash_bytes(8 * self.n), "<u8")
        keyed = (hashes & ~place_mask) | np.arange(self.n, dtype=np.uint64)
        keyed.sort()
        return (keyed & place_mask).view(np.int64)

    def _in_blocks(self, values: np.ndarray, rounds: range) -> np.ndarray:
        keys = self._round_keys()
        out = np.empty(len(values), np.int64)
        for start in range(0, len(values), _BLOCK):
            out[start : start + _BLOCK] = self._walk(values[start : start + _BLOCK], keys, rounds)
        return out

    def _walk(self, values: np.ndarray, keys: np.ndarray, rounds: range) -> np.ndarray:
        bits = (self.n - 1).bit_length()
        out = _feistel(values.astype(np.uint64), bits, keys, rounds)
        outside = np.flatnonzero(out >= self.n)
        while len(outside):
            walked = _feistel(out[outside], bits, keys, rounds)
            out[outside] = walked
            outside = outside[walked >= self.n]
        return out.view(np.int64)

    def _round_keys(self) -> np.ndarray:
        """A multiplier and an addend per round, uint32 [rounds, 2]."""
        keys = np.frombuffer(self._hash_bytes(8 * _ROUNDS), "<u4").reshape(_ROUNDS, 2)
        return keys | np.array([1, 0], np.uint32)

    def _hash_bytes(self, size: int) -> bytes:
        return hashlib.shake_256(f"seqmill.permutation/1 {self.seed} {self.number}".encode()).digest(size)


def _feistel(values: np.ndarray, bits: int, keys: np.ndarray, rounds: range) -> np.ndarray:
    widths = (bits - bits // 2, bits // 2)
    low_mask = np.uint64((1 << widths[0]) - 1)
    halves = ((values & low_mask).astype(np.uint32), (values >> np.uint64(widths[0])).astype(np.uint32))
    mixed = np.empty_like(halves[0])
    for i in rounds:
        changed = i % 2
        # Multiply-add-shift hashing (Dietzfelbinger, 1996): the highest bits depend on all of the other half.
        np.multiply(halves[1 - changed], keys[i, 0], out=mixed)
        np.add(mixed, keys[i, 1], out=mixed)
        np.right_shift(mixed, np.uint32(32 - widths[changed]), out=mixed)
        np.bitwise_xor(halves[changed], mixed, out=halves[changed])
    return (halves[1].astype(np.uint64) << np.uint64(widths[0])) | halves[0]
