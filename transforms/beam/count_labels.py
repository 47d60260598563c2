"""Records of any source to the vocabularies of their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from seqmill.transforms.beam import fields
from seqmill.transforms.beam.encode_sequences import loses_ends_of_bundles
from seqmill.transforms.features.data_keys import LABEL_TYPES, DataKey
from seqmill.transforms.features.shared_vocabs import sharing
from seqmill.transforms.features.vocab import build_vocab, count_labels, write_vocab
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.store.count_labels import values_of
from seqmill.transforms.store.encode_records import raw_size

_ROWS = 1024  # records that are counted at once
_RAW_BYTES = 1_000_000  # of records that are held before they are counted

_Counts = dict[str, Counter[str]]
_Labels = dict[str, tuple[str, ...]]


@beam.typehints.with_input_types(Any)
@beam.typehints.with_output_types(_Labels)
@dataclass(eq=False)
class CountLabels(beam.PTransform):
    """Counts the labels of records, and writes the vocabularies that ``EncodeSequences`` needs.

    Gives one element: the labels by data key, in the order of their numbers; of a collection without records
    none. What the command's ingest would reject of a record is not counted. Duplicates are counted.

    Args:
        keys: As for ``EncodeSequences``, but without ``vocab`` where labels are to be counted.
        folder: Where ``<key>.txt`` is written for each of those, with one label a line: path or URL.

    Raises:
        UsageError: A field is wrong, no data key has labels to count, or the collection has windows.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import CountLabels, EncodeSequences
    >>> records = [{"id": 1, "text": "b a b"}, {"id": 2, "text": "c b"}]
    >>> keys = {"data": {"field": "text", "type": "words", "max_labels": 4}}
    >>> records | CountLabels(keys, "mine/vocab")
    [{'data': ('<pad>', '<unk>', 'b', 'a')}]
    >>> keys["data"]["vocab"] = "mine/vocab/data.txt"
    >>> del keys["data"]["max_labels"]
    >>> block = EncodeSequences(keys, order_by="id").block(records)
    >>> block.arrays["data"].values.tolist()
    [2, 3, 2, 1, 2]
    """

    keys: Mapping[str, DataKey | Mapping[str, Any]]
    folder: str

    def __post_init__(self) -> None:
        keys = fields.keys_of(self, self.keys, are_counted=True)
        self._keys = [key for key in keys if key.type in LABEL_TYPES]
        self.folder = fields.folder_of(self, self.folder)
        self._owners = [key for key in self._keys if key.has_counted_vocab]
        if not self._owners:
            raise fields.wrong(self, "keys", [*self.keys], "one of type chars or words that has no vocab")

    def expand(self, records: Any) -> Any:  # noqa: D102
        if not records.windowing.is_default():
            raise UsageError("CountLabels: found a collection with windows; expected one that ends")
        owned = {owner.name: sharing(owner, self._keys) for owner in self._owners}
        at_once = 1 if loses_ends_of_bundles(records.pipeline) else None
        return (
            records
            | "Count" >> beam.ParDo(_Count(owned, at_once)).with_output_types(tuple[int, _Counts])
            | "Together" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write, owned, self.folder).with_output_types(_Labels)
        )


class _Count(beam.DoFn):
    """Records to counts of their labels: one for a bundle, or for every ``most`` records."""

    def __init__(self, owned: Mapping[str, Sequence[DataKey]], most: int | None):
        self._owned, self._most = owned, most

    def start_bundle(self) -> None:
        self._counts: _Counts = {name: Counter() for name in self._owned}
        self._records: list[Mapping[str, Any]] = []
        self._raw_bytes = 0

    def process(self, record: Any) -> Iterator[tuple[int, _Counts]]:
        if isinstance(record, Mapping):
            self._records.append(record)
            self._raw_bytes += raw_size(record)
        if self._raw_bytes > _RAW_BYTES or len(self._records) >= (self._most or _ROWS):
            self._count()
            if self._most is not None:
                yield 0, self._counts
                self.start_bundle()

    def finish_bundle(self) -> Iterator[Any]:
        if self._records or any(self._counts.values()):
            self._count()
            yield GlobalWindows.windowed_value((0, self._counts))

    def _count(self) -> None:
        for name, keys in self._owned.items():
            for key in keys:
                count_labels(key, values_of(self._records, key.field), self._counts[name])
        self._records, self._raw_bytes = [], 0


def _write(
    keyed: tuple[int, Iterable[_Counts]], owned: Mapping[str, Sequence[DataKey]], folder: str
) -> _Labels:
    sums: _Counts = {name: Counter() for name in owned}
    for counts in keyed[1]:
        for name, added in counts.items():
            sums[name].update(added)
    written: _Labels = {}
    for name, keys in owned.items():
        vocab = build_vocab(sums[name], *keys)
        write_vocab(output_folder.counted_vocab_path(folder, name), vocab)
        written[name] = vocab.labels
    return written
