"""A job server that does not start ends a command at once, with the name of its log."""

import sys
from pathlib import Path

import pytest

from seqmill.pipelines.job_server_process import job_server_process
from seqmill.transforms.storage.errors import SeqmillError

SAYS_WHY = [sys.executable, "-c", "import sys; print('needs Java 21'); sys.exit(3)"]


def message(command):
    with (
        pytest.raises(SeqmillError) as raised,
        job_server_process("the job server of FlinkRunner", lambda: (command, "localhost:1")),
    ):
        pass
    return str(raised.value)


def test_one_that_ends_leaves_its_log():
    said, _, log = message(SAYS_WHY).rpartition(" ")
    assert said == "the job server of FlinkRunner ended with exit code 3; its log is"
    assert Path(log).read_text() == "needs Java 21\n"
    Path(log).unlink()


def test_one_that_is_not_there_is_named():
    assert message(["/no/java", "-jar", "x.jar"]) == (
        "the job server of FlinkRunner cannot be started: /no/java: No such file or directory"
    )
