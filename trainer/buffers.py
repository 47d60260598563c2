"""Buffers that are used again: fresh pages cost more than the copy that fills them."""

from __future__ import annotations

import mmap
import threading
import weakref

import numpy as np

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.small_elements import widen

_HUGE_PAGE = 2 << 20


class BufferPool:
    """Hands out page-aligned uint8 arrays and takes their memory back once nobody refers to them.

    TensorFlow makes a tensor of an aligned NumPy array without copying it, so an array filled here is the
    tensor that the model reads. The pool never holds more than was in use at one time.
    """

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []
        self._lock = threading.Lock()

    def take(self, num_bytes: int) -> np.ndarray:
        """A writable uint8 array [num_bytes] with arbitrary content."""
        buffer = self._reuse(num_bytes) or _allocate(num_bytes)
        whole = np.frombuffer(buffer, np.uint8)
        weakref.finalize(whole, self._free.append, buffer).atexit = False
        return whole[:num_bytes]

    def copy(self, array: np.ndarray) -> np.ndarray:
        """A copy of ``array`` (any shape and alignment) in a buffer of this pool."""
        copied = self.take(array.nbytes).view(array.dtype).reshape(array.shape)
        np.copyto(copied, array)
        return copied

    def read(self, array: np.ndarray, spec: ArraySpec) -> np.ndarray:
        """Elements of a store or shard as models read them, in a buffer of this pool."""
        read = self.take(array.size * spec.batch_dtype.itemsize).view(spec.batch_dtype)
        return widen(array, spec, read.reshape(array.shape))

    def _reuse(self, num_bytes: int) -> mmap.mmap | None:
        with self._lock:
            fitting = [buffer for buffer in self._free if len(buffer) >= num_bytes]
            if fitting:
                smallest = min(fitting, key=len)
                self._free.remove(smallest)
                return smallest
            if self._free:
                self._free.remove(min(self._free, key=len))
        return None


def _allocate(num_bytes: int) -> mmap.mmap:
    size = max(mmap.PAGESIZE, num_bytes)
    if size >= _HUGE_PAGE:
        size = -(-size // _HUGE_PAGE) * _HUGE_PAGE
    # Not shared with forked processes, as Python's default would be: they go on with copies of this pool.
    buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= _HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        buffer.madvise(mmap.MADV_HUGEPAGE)
    return buffer
