import dataclasses
import itertools

import pytest

from seqmill.transforms.readers import ReadOptions, open_split, split_corpus
from seqmill.transforms.storage.errors import RejectedSequence


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder for tests whose files are written anew for every example."""
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="session")
def read_corpus():
    """read_corpus(format, files, target_bytes, fields, damaged, **options) → [(position, record or reject)].

    ``damaged``: whether a part of the corpus must be found to be lost; None for either.
    """
    return _read_corpus


@pytest.fixture(scope="session")
def write_remote():
    """write_remote(name, content) → URL of a file in memory."""
    return _write_remote


def _read_corpus(format, files, target_bytes=1 << 30, fields=(), damaged=False, **options):
    found, first, losses = [], 0, []
    split_fields = fields if format == "kaldi" else ()  # which files of a folder to read
    for split in split_corpus(format, files, target_bytes, ReadOptions(**options), split_fields):
        assert len({key for key, _ in split.files}) == len(split.files)
        reader = open_split(split, fields)
        positions, num_records = [], 0
        for position, record in reader:
            positions.append(position)
            num_records += getattr(record, "count", 1)
            found.append((first + position, _comparable(record)))
        assert all(a < b for a, b in itertools.pairwise(positions))
        assert all(0 <= position < reader.num_positions for position in positions)
        assert reader.num_records == num_records
        losses.append(reader.damaged)
        first += reader.num_positions
    assert damaged is None or any(losses) == damaged, losses
    return found


@dataclasses.dataclass(frozen=True)
class Reject:
    reason: str


def _comparable(record):
    return Reject(record.reason) if isinstance(record, RejectedSequence) else record


def _write_remote(name, content):
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe_file(f"/readers/{name}", content)
    return f"memory://readers/{name}"


@pytest.fixture(scope="session")
def reject():
    """reject(reason): what ``read_corpus`` gives for a rejected sequence."""
    return Reject
