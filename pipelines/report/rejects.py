"""What was rejected, with examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from seqmill.pipelines.report.page import Section, Text, cut, paragraph, table
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import map_checked
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store

_EXAMPLES = 3
_MOST_BYTES = 4_000_000  # of a list of rejects that are looked at for examples


def section(output: str, stores: Mapping[str, Store]) -> Section:
    """Rejects of every corpus by reason, a few of each.

    Args:
        output: The output folder.
        stores: By corpus.
    """
    rows = []
    for corpus, store in stores.items():
        seen: dict[str, int] = {}
        for reject in _rejects(output, corpus, store):
            reason = str(reject.get("reason"))
            seen[reason] = seen.get(reason, 0) + 1
            if seen[reason] <= _EXAMPLES:
                place = ":".join(str(reject[name]) for name in ("source", "position") if name in reject)
                detail = str(reject.get("detail") or "")
                rows.append([Text(corpus), *(Text(cut(t), is_long=True) for t in (reason, detail, place))])
    shown = table([Text("corpus"), Text("reason"), Text("what was found"), Text("where")], rows)
    nothing = paragraph("No record was rejected.")
    return Section(
        "Rejected records",
        f"Records that could not be used, at most {_EXAMPLES} of each reason; all are in "
        "`store/<corpus>/rejected` and `epochs/<corpus>/rejected`. More than `max_rejected` of "
        "them end a run.",
        (shown if rows else nothing,),
    )


def _rejects(output: str, corpus: str, store: Store) -> Iterator[dict[str, Any]]:
    ingested = output_folder.rejected_path(store.folder, output_folder.INGEST)
    known = store.manifest.others.get(output_folder.rejected_name(output_folder.INGEST))
    if known is not None:
        yield from _parsed(ingested, map_checked(ingested, known)[:_MOST_BYTES].tobytes())
    planned = output_folder.rejected_path(output_folder.epochs_folder(output, corpus), output_folder.PLAN)
    if files.exists(planned):
        with files.open_read(planned) as file:
            yield from _parsed(planned, file.read(_MOST_BYTES))


def _parsed(path: str, head: bytes) -> Iterator[dict[str, Any]]:
    """The records of the whole lines of a list's beginning."""
    for number, line in enumerate(head.split(b"\n")[:-1], start=1):
        try:
            reject = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SeqmillError(f"{path}: line {number} is damaged: {error}") from None
        if not isinstance(reject, dict):
            raise SeqmillError(
                f"{path}: line {number} is damaged: a {type(reject).__name__}, expected an object"
            )
        yield reject
