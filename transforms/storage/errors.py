"""The errors that users see: one message each, no traceback."""


class SeqmillError(Exception):
    """The run failed: bad data, a failed check, an unusable folder. Exit code 1.

    >>> import seqmill
    >>> try:
    ...     seqmill.read_manifest("nowhere")
    ... except SeqmillError as error:
    ...     print(error)
    nowhere...
    """


class UsageError(SeqmillError):
    """Wrong use: options or arguments that cannot work. Exit code 2.

    >>> issubclass(UsageError, SeqmillError)
    True
    """


class RejectedSequence(Exception):
    """One sequence is unusable; the run goes on and counts it.

    Args:
        reason: A short, fixed phrase that rejects are counted by (``"not valid JSON"``).
        detail: What was found in this sequence (``"line ends inside a string"``).
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return (type(self), (self.reason, self.detail))
