"""The real command in this process: thousands of small runs in minutes."""

from __future__ import annotations

import contextlib
import io
import traceback
from dataclasses import dataclass

from seqmill.pipelines.main import main


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (None for an exception) and all that it printed."""

    code: int | None
    output: str


def seqmill(*arguments: object) -> Ended:
    """Runs a command; an exception that it does not handle becomes its output."""
    output = io.StringIO()
    code: int | None = 0
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            code = None
            output.write(traceback.format_exc())
    return Ended(code, output.getvalue())
