import subprocess

import pytest
from seqmill_runs import Seqmill


@pytest.fixture
def seqmill(capsys):
    """Runs the command in this process: ``seqmill("plan", config)`` → how it ended."""
    return Seqmill(capsys)


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
