import shutil
import subprocess

import pytest


@pytest.fixture
def output(written, tmp_path):
    """A copy of the output that a module's ``written`` made, to be damaged; its configuration beside it."""
    for name in ("a.jsonl", "config.toml"):
        shutil.copy2(written / name, tmp_path)
    shutil.copytree(written / "out", tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def new_disk(tmp_path):
    """Makes a small file system: ``new_disk("1m")`` → its folder."""
    folder = tmp_path / "disk"

    def new(size):
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        mounted = subprocess.run(command, capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        return folder

    yield new
    if folder.is_mount():
        subprocess.run(["umount", "-l", folder], check=True)
