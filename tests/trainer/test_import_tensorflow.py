"""What TensorFlow tells every user is left out, what goes wrong is not."""

import os
import subprocess
import sys

from seqmill.trainer.import_tensorflow import without_lines

CRASH = """
import os
from seqmill.trainer.import_tensorflow import without_lines
with without_lines("^I[0-9]"):
    os.write(2, b"I0000 all is well\\nF0000 no such instruction")
    os.abort()
"""


def test_chosen_lines_are_left_out_while_a_block_lasts(capfd):
    with without_lines("^I[0-9]"):
        os.write(2, b"I0000 all is well\nE0000 it is not\nthe end")
    os.write(2, b"I0000 later\n")
    assert capfd.readouterr().err == "E0000 it is not\nthe end\nI0000 later\n"


def test_the_last_words_of_a_crash_are_shown():
    ended = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, check=False)
    assert ended.returncode < 0
    assert ended.stderr == "F0000 no such instruction\n"
