import os
import time

import pytest
import xxhash

from seqmill.transforms.storage import content_hash
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.errors import SeqmillError


@pytest.fixture
def old_file(tmp_path):
    """A file that was last changed long enough ago to be remembered."""
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    time.sleep(2.1)
    return path


def digest(content):
    return xxhash.xxh3_128_hexdigest(content)


def test_hashes_follow_the_content_and_nothing_else(tmp_path, old_file):
    memory = tmp_path / "memory"
    other = tmp_path / "other"
    other.write_bytes(b"xyz")
    for path in (old_file, other):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    paths = [str(old_file), str(other)]
    for _ in range(2):
        found = ContentHashes(memory).of_all(paths)
        assert found == {paths[0]: digest(b"abc"), paths[1]: digest(b"xyz")}
    other.replace(old_file)  # same size, same time of change
    assert ContentHashes(memory).of(paths[0]) == digest(b"xyz")
    old_file.write_bytes(b"123")
    os.utime(old_file, (1_700_000_000, 1_700_000_000))
    assert ContentHashes(memory).of(paths[0]) == digest(b"123")


def test_what_is_remembered_is_not_read_again_and_damage_only_costs_a_read(tmp_path, old_file):
    memory = tmp_path / "memory"
    first = ContentHashes(memory)
    first.of_all([str(old_file)])
    content = memory.read_bytes()
    # A wrong hash under a fitting seal shows that the file is not read.
    rows = content[:16] + bytes(16)
    memory.write_bytes(rows + xxhash.xxh3_128_digest(rows))
    assert ContentHashes(memory).of(str(old_file)) == "0" * 32
    damages = [b"", content[:-1], content[:20], b"x" * 999, *(_flipped(content, at) for at in (0, 20, 40))]
    for damage in damages:
        memory.write_bytes(damage)
        assert ContentHashes(memory).of(str(old_file)) == digest(b"abc")
    memory.unlink()
    memory.symlink_to(old_file)
    assert ContentHashes(memory).of_all([str(old_file)]) == {str(old_file): digest(b"abc")}
    assert old_file.read_bytes() == b"abc"


def test_a_file_that_was_just_written_is_not_remembered(tmp_path):
    path, memory = tmp_path / "input", tmp_path / "memory"
    path.write_bytes(b"abc")
    ContentHashes(memory).of_all([str(path)])
    assert not memory.exists()


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(tmp_path, old_file, monkeypatch):
    monkeypatch.setattr(content_hash, "MOST_REMEMBERED", 2)
    memory = tmp_path / "memory"
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode())
    time.sleep(2.1)
    for path in paths:
        ContentHashes(memory).of_all([str(path)])
    assert memory.stat().st_size == 2 * 32 + 16
    assert digest(b"c") in memory.read_bytes().hex()
    assert digest(b"a") not in memory.read_bytes().hex()


def test_a_file_that_changes_behind_a_run_is_named(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    hashes = ContentHashes(tmp_path / "memory")
    hashes.of(str(path))
    os.utime(path, (1, 1))
    hashes.check_unchanged()  # touched, not changed
    path.write_bytes(b"abd")
    with pytest.raises(SeqmillError, match=r"input: it changed while this run read it"):
        hashes.check_unchanged()


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(SeqmillError, match=r"nowhere: no such file"):
        ContentHashes(tmp_path / "memory").of(str(tmp_path / "nowhere"))
    with pytest.raises(SeqmillError, match=r"cannot be read \(Is a directory\)"):
        ContentHashes(tmp_path / "memory").of(str(tmp_path))


def _flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
