"""What became of the records of several files together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from seqmill.transforms.store.counts import Counts


class CountedFile(Protocol):
    """What is counted of a file of a store; ``StoreFile`` says what each is."""

    @property
    def num_seqs(self) -> int: ...  # noqa: D102
    @property
    def rejected(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def converted(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def unknown(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def largest_error(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def dropped(self) -> Mapping[str, int]: ...  # noqa: D102


def sum_counts(files: Iterable[CountedFile], dropped: Mapping[str, int]) -> Counts:
    """The counts of some files; one that comes several times counts as often.

    Args:
        files: The files.
        dropped: Sequences that were dropped before they came into any file, by reason.
    """
    kept = 0
    rejected: Counter[str] = Counter()
    converted: Counter[str] = Counter()
    left_out = Counter(dropped)
    unknown: Counter[str] = Counter()
    errors: dict[str, float] = {}
    for file in files:
        kept += file.num_seqs
        errors.update({key: max(error, errors.get(key, 0.0)) for key, error in file.largest_error.items()})
        rejected.update(file.rejected)
        converted.update(file.converted)
        left_out.update(file.dropped)
        unknown.update(file.unknown)
    read = kept + left_out.total() + rejected.total()
    return Counts(read, kept, dict(left_out), rejected, converted, unknown, largest_error=errors)
