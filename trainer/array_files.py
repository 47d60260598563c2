"""Arrays in the files of a checkpoint, each found by the hash of its bytes."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from seqmill.trainer.checkpoints import BrokenCheckpointError
from seqmill.trainer.state.values import array_entry
from seqmill.transforms.storage import files

_H5_IN_MODEL = "model.weights.h5"


def write_npz(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Writes arrays by hash, one after the other, reads each back and compares.

    Raises:
        OSError: It cannot be written, or what was read is not what was written.
    """
    names = []
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays:
            names.append(name)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    with np.load(path) as stored:
        for name in names:
            if array_entry(stored[name])["xxh128"] != name:
                raise OSError(f"{path.name}: an array is not what was written")


def index_h5(path: Path) -> dict[str, str]:
    """The path of each dataset in a file of weights, or of a model, by the hash of its content."""
    found: dict[str, str] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
            found.setdefault(array_entry(item[()])["xxh128"], name)

    with _open_h5(str(path)) as file:
        file.visititems(add)
    return found


class ArrayFiles:
    """Reads the arrays of a checkpoint.

    Args:
        folder: The checkpoint's directory.
        in_h5: Per hash the dataset in the file of Keras.
        h5: That file.
        npz: Files of ``write_npz``.
    """

    def __init__(self, folder: str, in_h5: Mapping[str, str], h5: h5py.File | None, npz: list[Any]):
        self._folder = folder
        self._in_h5 = in_h5
        self._h5 = h5
        self._npz = npz

    def read(self, entry: Mapping[str, Any]) -> np.ndarray:
        """The array that an entry is about.

        Raises:
            BrokenCheckpointError: It is not there, or not what was saved.
        """
        name = entry.get("name", "an array")
        try:
            found = self._find(entry["xxh128"])
            if array_entry(found)["xxh128"] != entry["xxh128"]:
                raise BrokenCheckpointError(f"{self._folder}: {name} is not what was saved")
            flat = np.ascontiguousarray(found).reshape(-1)
            content = flat.view(np.uint8) if flat.size else np.empty(0, np.uint8)
            return content.view(np.dtype(entry["dtype"])).reshape(entry["shape"])
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
            raise BrokenCheckpointError(f"{self._folder}: {name} cannot be read ({error})") from None

    def _find(self, name: str) -> np.ndarray:
        for npz in self._npz:
            if name in npz.files:
                return np.asarray(npz[name])
        if self._h5 is None:
            raise KeyError(name)
        return np.asarray(self._h5[self._in_h5[name]][()])


@contextmanager
def open_arrays(
    folder: str, in_h5: Mapping[str, str], h5_name: str, npz_names: Iterable[str]
) -> Iterator[ArrayFiles]:
    """Opens the arrays of a checkpoint. Raises BrokenCheckpointError."""
    with ExitStack() as stack:
        try:
            h5 = None
            if in_h5:
                path = stack.enter_context(_local_copy(files.join(folder, h5_name)))
                h5 = stack.enter_context(_open_h5(path))
            npz = [
                stack.enter_context(np.load(stack.enter_context(_local_copy(files.join(folder, name)))))
                for name in npz_names
                if files.exists(files.join(folder, name))
            ]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise BrokenCheckpointError(f"{folder}: cannot be read ({error})") from None
        yield ArrayFiles(folder, in_h5, h5, npz)


@contextmanager
def _open_h5(path: str) -> Iterator[h5py.File]:
    """A local file of weights; those in a whole model of Keras, which is a zip archive."""
    if not path.endswith(".keras"):
        with h5py.File(path) as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open(_H5_IN_MODEL) as member, h5py.File(member) as file:
        yield file


@contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """A file as a local path: itself, or a copy that is removed afterwards."""
    if files.is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, files.name(path))
        with files.open_read(path) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 24)
        yield str(target)
