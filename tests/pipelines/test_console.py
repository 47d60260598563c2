"""What progress leaves on a terminal."""

import os
import pty
import subprocess
import sys

import pytest

CODE = """
import sys, time
from seqmill.pipelines import console
try:
    with console.progress([console.Share("reading", 10, sys.argv[1])], "run"):
        time.sleep(0.7)
        if sys.argv[2] == "interrupted":
            raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
console.say("the end")
"""


@pytest.mark.parametrize("how", ["done", "interrupted"])
def test_a_bar_leaves_nothing(tmp_path, how):
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", CODE, tmp_path, how],
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=60,
    )
    shown = os.read(ours, 65536).decode()
    os.close(theirs)
    os.close(ours)
    bar, _, rest = shown.rpartition("\x1b[2K")
    assert "reading" in bar
    assert rest.strip() == "the end"
