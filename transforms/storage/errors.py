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


class NothingLeftError(SeqmillError):
    """No sequence is left of a corpus: there was none, or each was dropped, or rejected as is allowed."""


class RejectedSequence(Exception):
    """One sequence is unusable; the run goes on and counts it.

    Args:
        reason: A short, fixed phrase that rejects are counted by (``"not valid JSON"``).
        detail: What was found in this sequence (``"line ends inside a string"``).
        count: How many records it stands for (the rows of a lost row group).
    """

    def __init__(self, reason: str, detail: str = "", count: int = 1):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.count = count

    def __reduce__(self) -> tuple[type, tuple[str, str, int]]:
        return (type(self), (self.reason, self.detail, self.count))
