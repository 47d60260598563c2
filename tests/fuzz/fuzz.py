"""Damages raw inputs and files of ours, many thousand times: ``python fuzz.py --cases=20000``.

Each case follows from its number: ``--first=1234 --cases=1`` runs one again. Cases run in child processes, so
that one that crashes or hangs is noticed, named and passed over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

TARGETS = ("raw_inputs", "own_files")
MOST_SECONDS = 60.0  # a case takes milliseconds
POLL_SECONDS = 0.2


def main() -> None:
    """Runs the cases, prints what happened how often and every case that went wrong; ends with 0 or 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000, help="how many cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="child processes")
    parser.add_argument("--log", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.log:
        _child(given.first, given.cases, Path(given.log))
    else:
        failures = run(given.first, given.cases, given.jobs)
        sys.exit(1 if failures else 0)


def run(first: int, cases: int, jobs: int) -> list[str]:
    """Runs cases ``first`` to ``first + cases - 1``; returns the messages of those that went wrong."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="seqmill-fuzz-") as folder:
        size = -(-cases // jobs)
        parts = [(at, min(size, first + cases - at)) for at in range(first, first + cases, size)]
        children = [_Child(at, count, Path(folder, f"{at}.log")) for at, count in parts]
        running = children
        while running:
            time.sleep(POLL_SECONDS)
            running = [child for child in running if not child.is_done()]
        outcomes = sum((child.outcomes for child in children), Counter())
        failures = [failure for child in children for failure in child.failures]
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7,}  {outcome}")
    print(f"{cases:7,}  cases in {time.monotonic() - start:.0f} s, {len(failures)} went wrong")
    for failure in failures[:20]:
        print(failure)
    return failures


class _Child:
    """Runs cases in a child process, which is started anew behind a case that ended it."""

    def __init__(self, first: int, cases: int, log: Path):
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self._end = first + cases
        self._log = log
        self._start(first)

    def _start(self, first: int) -> None:
        self._case, self._since = first, time.monotonic()
        self._log.write_bytes(b"")
        self._read = 0
        command = [
            sys.executable,
            __file__,
            f"--first={first}",
            f"--cases={self._end - first}",
            f"--log={self._log}",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def is_done(self) -> bool:
        """Reads what the child has done; True when all its cases are."""
        code = self._process.poll()
        self._collect()
        if self._case >= self._end:
            self._process.wait()
            return True
        if code is not None:
            self._passed_over(f"the process ended with {code}")
        elif time.monotonic() - self._since > MOST_SECONDS:
            self._process.kill()
            self._process.wait()
            self._passed_over(f"still running after {MOST_SECONDS:.0f} s")
        return self._case >= self._end

    def _collect(self) -> None:
        content = self._log.read_bytes()
        for line in content[self._read :].splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            self._read += len(line)
            case, outcome, failure = json.loads(line)
            self._case, self._since = case + 1, time.monotonic()
            self.outcomes[outcome] += 1
            if failure:
                self.failures.append(f"case {case}: {failure}")

    def _passed_over(self, why: str) -> None:
        self.outcomes["went wrong"] += 1
        self.failures.append(f"case {self._case}: {why}")
        if self._case + 1 < self._end:
            self._start(self._case + 1)
        else:
            self._case = self._end


def _child(first: int, cases: int, log: Path) -> None:
    from own_files import OwnFiles
    from raw_inputs import RawInputs

    scratch = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        log.open("a") as out,
        tempfile.TemporaryDirectory(prefix="seqmill-fuzz-", dir=scratch) as folder,
    ):
        targets = (RawInputs(Path(folder, "raw")), OwnFiles(Path(folder, "own")))
        for case in range(first, first + cases):
            try:
                outcome, failure = targets[case % len(targets)].run(case), None
            except AssertionError as error:
                outcome, failure = "went wrong", str(error)
            except Exception:
                outcome, failure = "went wrong", traceback.format_exc()
            out.write(json.dumps([case, outcome, failure]) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
