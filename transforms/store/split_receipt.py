"""What a finished ingest task leaves: receipts of its files, by which a rerun and the last step know them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from pydantic import TypeAdapter

from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import Checksum, is_intact
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed
from seqmill.transforms.storage.output_folder import split_receipt_path
from seqmill.transforms.store.sequence_store import StoreFile

FORMAT = "seqmill.ingested/3"


@dataclass(frozen=True)
class SplitReceipt:
    """What became of a split.

    Attributes:
        format: ``FORMAT``.
        file: Its Arrow file.
        lengths: Its part of the length index.
        rejects: Its part of the rejected sequences; None where there are none.
        named_files: Hashes of the files that its records name; None where they name none.
        tags: Hashes of its tags, by which equal ones are counted; None where tags are not given.
    """

    format: str
    file: StoreFile
    lengths: Checksum
    rejects: Checksum | None
    named_files: Checksum | None = None
    tags: Checksum | None = None


_ADAPTER = TypeAdapter(SplitReceipt)


def write_receipt(folder: str, index: int, receipt: SplitReceipt) -> None:
    """Leaves the receipt of split ``index`` in a store's folder; its files must be there."""
    write_sealed(split_receipt_path(folder, index, "receipt.json"), _ADAPTER, receipt)


def read_receipt(folder: str, index: int, fresh: bool = False, by_size: bool = False) -> SplitReceipt | None:
    """The receipt of split ``index``, if its files are what it says.

    Args:
        folder: The store's folder.
        index: The split.
        fresh: Hash its files even where these versions of them are known.
        by_size: Compare only their sizes, as this run has written or compared them already.
    """
    with suppress(SeqmillError):
        path = split_receipt_path(folder, index, "receipt.json")
        receipt: SplitReceipt = read_sealed(path, _ADAPTER, FORMAT, "the task is not done")
        expected = {
            files.inside(folder, receipt.file.file): receipt.file.checksum,
            lengths_part(folder, index): receipt.lengths,
        }
        if receipt.rejects is not None:
            expected[rejects_part(folder, index)] = receipt.rejects
        if receipt.named_files is not None:
            expected[named_files_part(folder, index)] = receipt.named_files
        if receipt.tags is not None:
            expected[tags_part(folder, index)] = receipt.tags
        for path, checksum in expected.items():
            whole = files.is_whole(path, checksum.bytes) if by_size else is_intact(path, checksum, fresh)
            if not whole:
                return None
        return receipt
    return None


def remove_receipt(folder: str, index: int) -> None:
    """Lets the task of split ``index`` be done again."""
    files.remove(split_receipt_path(folder, index, "receipt.json"))


def lengths_part(folder: str, index: int) -> str:
    """Path of the part of the length index of split ``index``."""
    return split_receipt_path(folder, index, "lengths.arrow")


def tags_part(folder: str, index: int) -> str:
    """Path of the hashes of the tags of split ``index``, uint64 [n]."""
    return split_receipt_path(folder, index, "tags.u64")


def rejects_part(folder: str, index: int) -> str:
    """Path of the rejected sequences of split ``index``."""
    return split_receipt_path(folder, index, "rejected.jsonl")


def named_files_part(folder: str, index: int) -> str:
    """Path of what is known of the files that the records of split ``index`` name."""
    return split_receipt_path(folder, index, "named.json")
