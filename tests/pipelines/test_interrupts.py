"""A signal ends a block wherever it arrives; each case is a process of its own."""

import os
import signal
import subprocess
import sys
import time

import pytest

SWALLOW = """
    try: time.sleep(30)
    except BaseException: interrupts.raise_if_pressed()
"""

# What the block does once "ready" is printed; it must not reach its end.
BLOCKS = {
    "waits": "time.sleep(30)",
    "deletes an object": "Slow(); time.sleep(30)",
    "swallows everything": SWALLOW,
}

PROGRAM = """
import hashlib, signal, sys, time
from seqmill.pipelines import interrupts

class Slow:
    def __del__(self):
        time.sleep(0.5)

try:
  with interrupts.ending_at_once():
    print("ready", flush=True)
    {block}
except KeyboardInterrupt as error:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    sys.exit(interrupts.exit_code(error))
"""


def end_by(number, block):
    """Exit code and what was printed of a program that is sent a signal in a block."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(block=block)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)  # into the middle of the block
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    return process.returncode, said


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_ctrl_c_ends_a_block_without_a_trace(block):
    assert end_by(signal.SIGINT, block) == (130, "")


def test_sigterm_has_its_own_code():
    assert end_by(signal.SIGTERM, BLOCKS["waits"]) == (143, "")


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_does_not_listen_is_ended_by_force(number):
    code, said = end_by(number, "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 100_000_000)")
    assert code == 128 + number
    assert said.startswith("seqmill: interrupted")
