"""What is counted over a corpus before it is ingested: a part for each split, and the files they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import Checksum, checksum, is_intact
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import read_sealed_json, seal
from seqmill.transforms.storage.output_folder import split_receipt_path


@dataclass(frozen=True)
class CountFolder:
    """Where a count is kept.

    Attributes:
        folder: The folder.
        what: What is counted, in messages.
        part_format: Format of the counts of a split.
        summary_format: Format of the summary.
        summary: The file that says of which counts the others were made; written last.
        suffix: Of those files, which are called by their data keys.
    """

    folder: str
    what: str
    part_format: str
    summary_format: str
    summary: str
    suffix: str

    @property
    def summary_path(self) -> str:
        """The summary."""
        return files.join(self.folder, self.summary)

    def path(self, key: str) -> str:
        """The file that is made for a data key."""
        return files.join(self.folder, f"{key}{self.suffix}")

    def is_counted(self, index: int, fingerprint: str) -> bool:
        """Whether an earlier run has counted this split as it is now."""
        return self.part(index).get("fingerprint") == fingerprint

    def part(self, index: int) -> dict[str, Any]:
        """What was counted of a split; nothing where it was not."""
        return _read(self._part_path(index), self.part_format)

    def write_part(self, index: int, fingerprint: str, run: str, **counts: Any) -> None:
        """Leaves the counts of a split, if the folder still belongs to the run."""
        content = {"format": self.part_format, "fingerprint": fingerprint, **counts}
        with publishing(self.folder, run):
            files.write_json(self._part_path(index), seal(content))

    def remove_part(self, index: int) -> None:
        """Lets a split be counted again."""
        files.remove(self._part_path(index))

    def parts(self, fingerprints: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The counts of all splits, in their order. Raises SeqmillError where one is missing."""
        for index, fingerprint in enumerate(fingerprints):
            part = self.part(index)
            if part.get("fingerprint") != fingerprint:
                raise SeqmillError(
                    f"{self.folder}: the {self.what} of split {index} are not counted; run again"
                )
            yield part

    def write_summary(self, fingerprint: str, keys: Iterable[str]) -> None:
        """Says of which counts the files of some data keys were made."""
        written = {key: asdict(checksum(self.path(key))) for key in keys}
        content = {"format": self.summary_format, "fingerprint": fingerprint, "files": written}
        files.write_json(self.summary_path, seal(content))

    def fingerprint(self, fresh: bool = False) -> str | None:
        """That of the counts of which the files were made, if they are intact; ``fresh`` as there."""
        summary = _read(self.summary_path, self.summary_format)
        for key, expected in summary.get("files", {}).items():
            if not is_intact(self.path(key), Checksum(**expected), fresh):
                return None
        return summary.get("fingerprint")

    def _part_path(self, index: int) -> str:
        return split_receipt_path(self.folder, index, "counts.json")


def _read(path: str, expected_format: str) -> dict[str, Any]:
    """What was written as a whole; nothing where it is not there or not what was written."""
    try:
        return read_sealed_json(path, expected_format, "nothing is counted")
    except SeqmillError:
        return {}
