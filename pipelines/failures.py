"""A failure of the runner or of our own: one line with its cause, and the trace in a file."""

from __future__ import annotations

import re
import tempfile
import traceback

from seqmill.transforms.storage.errors import SeqmillError

_TRACE = "Traceback (most recent call last)"
_LOST = "a worker process has ended, as when memory runs out"
_MEANINGS = {
    "No module named 'seqmill'": "workers need seqmill, too, in the same version",
    "Channel closed prematurely": _LOST,
    "SDK worker disconnected": _LOST,
}
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
    """One line: the innermost error that says something, of a chain or of traces in a runner's text."""
    causes = [cause for link in _chain(error) for cause in _causes(link)]
    text = next((cause for cause in causes if ": " in cause), causes[0])
    text = text if len(text) <= _LINE else f"{text[:_LINE]}…"
    return text + next((f" ({meaning})" for sign, meaning in _MEANINGS.items() if sign in text), "")


def _chain(error: BaseException) -> list[BaseException]:
    """The errors that led to one, the first of them first."""
    links: dict[int, BaseException] = {}
    link: BaseException | None = error
    while link is not None and id(link) not in links:  # what was raised again may be its own cause
        links[id(link)] = link
        context = None if link.__suppress_context__ else link.__context__
        link = context if link.__cause__ is None else link.__cause__
    return list(links.values())[::-1]


def _causes(error: BaseException) -> list[str]:
    """What was raised, as text and as the traces in the text tell; what was raised first comes first."""
    text = _STEP.sub("", "".join(traceback.format_exception_only(error))).strip()
    causes, is_trace = [], False
    for line in text.splitlines():
        if _TRACE in line:
            is_trace = True
        elif is_trace and line and not line[0].isspace():  # what was raised ends a trace
            causes.append(line)
            is_trace = False
    return [_tidy(cause) for cause in causes or [text]]


def _tidy(cause: str) -> str:
    text = " ".join(cause.split())
    if found := _CAUSE.match(text):
        return f"{found[1]}: {found[2]}" if found[2] else found[1]
    return text


def keep_trace(text: str) -> str:
    """Writes a trace to a file; says which."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="seqmill-", suffix=".log", delete=False) as file:
            file.write(text)
    except OSError as error:
        return f"its trace could not be written ({error.strerror})"
    return f"the trace is in {file.name}"
