"""A failure of the runner or of our own: one line with its cause, and the trace in a file."""

from __future__ import annotations

import re
import tempfile
import traceback

from seqmill.transforms.storage.errors import SeqmillError

_LINE = 500  # characters of a cause that are shown
_STEP = re.compile(r"\s*\[while running .*?\]", re.DOTALL)
_CAUSE = re.compile(r"^(?:[\w.]+\.)?(\w+)(?:: (.*))?$")
_OUR_CAUSE = re.compile(r"^seqmill\.[\w.]+\.(?:SeqmillError|UsageError): (.*)$", re.MULTILINE)


def runner_failure(label: str, error: BaseException) -> SeqmillError:
    """What to say of an exception that came out of a runner.

    Args:
        label: What was being done.
        error: What was raised. Runners wrap the traces of workers as text into errors of their own.

    Returns:
        The error to raise: the deepest cause, and the name of a file that holds the trace.
    """
    text = "".join(traceback.format_exception(error))
    if ours := _OUR_CAUSE.findall(_STEP.sub("", text)):
        return SeqmillError(ours[-1])
    return SeqmillError(f"{label}: {deepest_cause(error)}; what is done is kept; {keep_trace(text)}")


def deepest_cause(error: BaseException) -> str:
    """One line: the innermost error of a chain, or of the trace that a runner has put into its text."""
    while error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__):
        error = error.__cause__ or error.__context__ or error
    text = _STEP.sub("", "".join(traceback.format_exception_only(error))).strip()
    if "Traceback (most recent call last)" in text:
        # In the first trace of a text, the first line that is not indented is what was raised first.
        _, _, behind = text.partition("Traceback (most recent call last)")
        causes = [line for line in behind.splitlines()[1:] if line and not line[0].isspace()]
        text = causes[0] if causes else text
    text = " ".join(text.split())
    if found := _CAUSE.match(text):
        text = f"{found[1]}: {found[2]}" if found[2] else found[1]
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"


def keep_trace(text: str) -> str:
    """Writes a trace to a file; says which."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="seqmill-", suffix=".log", delete=False) as file:
            file.write(text)
    except OSError as error:
        return f"its trace could not be written ({error.strerror})"
    return f"the trace is in {file.name}"
