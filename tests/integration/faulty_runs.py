"""Runs one command once for each fault of a list, in one process; prints how each run ended, as JSON."""

import contextlib
import io
import json
import os
import sys

from seqmill.pipelines.main import main


def run(command, fault):
    said = io.StringIO()
    os.environ["SEQMILL_FAULT"] = fault
    code = 0
    try:
        with contextlib.redirect_stderr(said):
            main(command)
    except SystemExit as end:
        code = end.code or 0
    finally:
        del os.environ["SEQMILL_FAULT"]
    return [code, said.getvalue()]


if __name__ == "__main__":
    runs, faults = json.loads(sys.argv[1])
    print(json.dumps([run(command, fault) for command, fault in zip(runs, faults, strict=True)]))
