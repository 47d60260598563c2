"""What one line says of a failure that came out of a runner."""

import pytest

from seqmill.pipelines.failures import deepest_cause, runner_failure

TRACE = """Traceback (most recent call last):
  File "a.py", line 1, in f
    raise OSError(5, "Input/output error")
OSError: [Errno 5] Input/output error

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 1, in g
    raise RuntimeError("the reader failed")
RuntimeError: the reader failed [while running 'Work']
"""

NESTED = """Error running pipeline.
Traceback (most recent call last):
  File "a.py", line 1, in f
    raise RuntimeError(result.error)
RuntimeError: Traceback (most recent call last):
  File "b.py", line 1, in g
    raise KeyError("k")
KeyError: 'k'
"""

SILENT = """Traceback (most recent call last):
  File "a.py", line 1, in f
_queue.Empty

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 1, in g
RuntimeError: Channel closed prematurely.
"""


def chained():
    try:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise ValueError("y") from error
    except ValueError as error:
        return error


def its_own_cause():
    error = ValueError("z")
    try:
        raise KeyError("x") from error
    except KeyError:
        try:
            raise error
        except ValueError:
            return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("a\n  b"), "ValueError: a b"),
        (MemoryError(), "MemoryError"),
        (chained(), "KeyError: 'x'"),
        (its_own_cause(), "KeyError: 'x'"),
        (RuntimeError(TRACE), "OSError: [Errno 5] Input/output error"),
        (RuntimeError(NESTED), "KeyError: 'k'"),
        (
            RuntimeError(SILENT),
            "RuntimeError: Channel closed prematurely. (a worker process has ended, as when memory runs out)",
        ),
        (
            RuntimeError(f"bundle failed:{TRACE.replace('Input/output error', 'no')}"),
            "OSError: [Errno 5] no",
        ),
        (RuntimeError("oh [while running 'Work-ptransform-3']"), "RuntimeError: oh"),
        (RuntimeError("x" * 10_000), "RuntimeError: " + "x" * 486 + "…"),
    ],
)
def test_the_deepest_cause_in_one_line(error, cause):
    assert deepest_cause(error) == cause


def test_an_error_of_ours_that_a_runner_has_wrapped_needs_no_trace():
    text = "Traceback (most recent call last):\n  …\nseqmill.transforms.storage.errors.SeqmillError: mend it"
    assert str(runner_failure("ingest", RuntimeError(f"{text} [while running 'Finish']\n"))) == "mend it"
