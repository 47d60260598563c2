"""Records of any source to blocks of sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from seqmill.transforms.beam import fields
from seqmill.transforms.beam.counting import Counting
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.store.encode_records import RecordEncoder, RecordEncoding, raw_size
from seqmill.transforms.store.sequence_block import BLOCK_BYTES, BLOCK_SEQS, SequenceBlock, join_blocks

_ROWS = 1024  # records that are encoded at once
_RAW_BYTES = 1_000_000  # of records that are held before they are encoded
_MOST_WINDOWS = 64  # of which a bundle holds blocks that are not full


@beam.typehints.with_input_types(Any)
@beam.typehints.with_output_types(SequenceBlock)
@dataclass(eq=False)
class EncodeSequences(beam.PTransform):
    """Makes blocks of sequences of records: a collection of mappings, in any order.

    Args:
        keys: The data keys: of each its options, as ``[data.<key>]`` of a configuration has them. Labels of
            ``chars`` and ``words`` come from ``vocab``, a file.
        order_by: Field whose value (whole number or text) orders the rows of the store: numbers first, then
            text by code point. Records without one are rejected; of several with the same, all but one.
        seq_tag: Field with a sequence's tag; by default the order key.
        feature_shapes: Per data key of type ``floats`` the shape of a frame, ``()`` or ``(D,)``; others are
            rejected.
        audio_root: Folder that relative paths of recordings start from; by default the current one.

    Raises:
        UsageError: A field is wrong; says what was given and what is expected.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import EncodeSequences
    >>> records = [{"id": 2, "text": "sea"}, {"id": 1, "text": "a"}, {"id": None, "text": "?"}]
    >>> encode = EncodeSequences({"data": {"field": "text", "type": "bytes"}}, order_by="id")
    >>> [(block.order, block.rejected) for block in records | encode]
    [((2, 1), {'order key is neither whole number nor text': 1})]
    """

    keys: Mapping[str, DataKey | Mapping[str, Any]]
    order_by: str
    seq_tag: str | None = None
    feature_shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    audio_root: str = "."

    def __post_init__(self) -> None:
        keys = fields.keys_of(self, self.keys)
        if self.seq_tag is not None:
            fields.text_of(self, "seq_tag", self.seq_tag)
        self._encoding = RecordEncoding(
            keys=keys,
            order_by=fields.text_of(self, "order_by", self.order_by),
            seq_tag=self.seq_tag,
            feature_shapes=_shapes(self, keys, self.feature_shapes),
            audio_root=fields.folder_of(self, self.audio_root, "audio_root"),
        )

    def block(self, records: Sequence[Mapping[str, Any]]) -> SequenceBlock:
        """A block of some records, without a pipeline."""
        return RecordEncoder(self._encoding).block(records)

    def expand(self, records: Any) -> Any:  # noqa: D102
        at_once = 1 if loses_ends_of_bundles(records.pipeline) else BLOCK_SEQS
        encode = _Encode(self._encoding, at_once)
        return records | "Encode" >> beam.ParDo(encode).with_output_types(SequenceBlock)


def loses_ends_of_bundles(pipeline: beam.Pipeline) -> bool:
    """Whether a runner loses what a ``finish_bundle`` gives, as DaskRunner of Beam 2.77 does, silently."""
    return type(pipeline.runner).__name__ == "DaskRunner"


@dataclass
class _Open:
    """What a bundle holds of a window."""

    records: list[Any] = field(default_factory=list)
    raw_bytes: int = 0
    blocks: list[SequenceBlock] = field(default_factory=list)

    @property
    def num_bytes(self) -> int:
        return sum(block.num_bytes for block in self.blocks)

    @property
    def num_records(self) -> int:
        return sum(block.read for block in self.blocks)


class _Encode(beam.DoFn):
    """Records to blocks of at most ``most`` records."""

    def __init__(self, encoding: RecordEncoding, most: int):
        self._encoding = encoding
        self._most = most
        self._open: dict[Any, _Open] = {}

    def setup(self) -> None:
        self._encoder = RecordEncoder(self._encoding)
        self._counting = Counting("EncodeSequences")

    def start_bundle(self) -> None:
        self._open = {}

    def process(self, record: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        if window not in self._open:
            while len(self._open) >= _MOST_WINDOWS:
                yield self._in_window(*self._open.popitem())
            self._open[window] = _Open()
        held = self._open[window]
        held.records.append(record)
        held.raw_bytes += raw_size(record)
        if held.raw_bytes > _RAW_BYTES or len(held.records) >= min(self._most, _ROWS):
            self._encode(held)
            if held.num_bytes > BLOCK_BYTES or held.num_records >= self._most:
                yield self._in_window(window, self._open.pop(window))

    def finish_bundle(self) -> Iterator[Any]:
        while self._open:
            yield self._in_window(*self._open.popitem())

    def _encode(self, held: _Open) -> None:
        held.blocks.append(self._encoder.block(held.records))
        held.records, held.raw_bytes = [], 0

    def _in_window(self, window: Any, held: _Open) -> WindowedValue:
        if held.records:
            self._encode(held)
        block = join_blocks(held.blocks)
        self._counting.block(block, read=block.read, rejected=block.read - block.num_seqs)
        return WindowedValue(block, window.max_timestamp(), (window,))


def _shapes(transform: EncodeSequences, keys: Sequence[DataKey], given: Any) -> dict[str, tuple[int, ...]]:
    """Per data key of type ``floats`` the shape of a frame."""
    floats = [key.name for key in keys if key.type == "floats"]
    if not isinstance(given, Mapping) or set(given) != set(floats):
        expected = ", ".join(f"{name!r}: (D,) or ()" for name in floats)
        raise fields.wrong(
            transform, "feature_shapes", given, f"{{{expected}}}, for the data keys of type floats"
        )
    for name, shape in given.items():
        if not isinstance(shape, tuple | list) or len(shape) > 1:
            raise fields.wrong(transform, f"feature_shapes[{name!r}]", shape, "(D,) or ()")
        if not all(type(size) is int and 1 <= size < 1 << 31 for size in shape):
            raise fields.wrong(transform, f"feature_shapes[{name!r}]", shape, "sizes of at least 1")
    return {name: tuple(shape) for name, shape in given.items()}
