"""Raw corpora in files to blocks of sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam

from seqmill.transforms.beam import fields
from seqmill.transforms.beam.counting import Counting
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.given_norm import read_norms
from seqmill.transforms.features.norm import check_norms
from seqmill.transforms.readers import FORMATS, Reader, ReadOptions, Split
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.name_patterns import has_wildcard
from seqmill.transforms.store.corpus_splits import array_specs, split_for_keys
from seqmill.transforms.store.encode_blocks import Collector, encoded_blocks, open_keys, split_encoders
from seqmill.transforms.store.encode_records import read_vocabs, vocab_files
from seqmill.transforms.store.ingest import check_accounted
from seqmill.transforms.store.sequence_block import (
    BLOCK_BYTES,
    BLOCK_SEQS,
    Origin,
    SequenceBlock,
    SplitEnd,
    SplitPart,
    join_blocks,
)
from seqmill.transforms.store.sources import source_names


@beam.typehints.with_output_types(SequenceBlock)
@dataclass(eq=False)
class ReadSequences(beam.PTransform):
    """Reads a corpus of files, at the beginning of a pipeline, as blocks of sequences.

    The files are found, and cut into parts that workers read alone, when the transform is applied. Rows are
    in the order of the files and of the records in them; tags, rejects and counts are those of
    ``seqmill ingest``.

    Args:
        format: ``"jsonl"``, ``"text"``, ``"csv"``, ``"tsv"``, ``"parquet"``, ``"tfrecord"``, …, as
            ``[corpus.<name>]`` of a configuration has them.
        files: A file or pattern, or several; for ``text`` such by field.
        keys: The data keys: of each its options, as ``[data.<key>]`` of a configuration has them. Labels of
            ``chars`` and ``words`` come from ``vocab``, a file.
        seq_tag: Field with a sequence's tag; by default what the format has, or ``<file name>:<position>``.
        audio_root: Folder that relative paths of recordings start from; by default that of the file.
        max_record_size: Larger records are rejected (bytes).
        quoting: Whether quotes enclose fields of ``csv`` and ``tsv``; by default as usual in the format.

    Raises:
        UsageError: A field is wrong; says what was given and what is expected.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import ReadSequences
    >>> with beam.Pipeline() as pipeline:
    ...     keys = {"data": {"field": "word", "type": "bytes"}}
    ...     blocks = pipeline | ReadSequences("jsonl", "words.jsonl", keys)
    ...     printed = blocks | beam.Map(lambda block: print(block.num_seqs, block.part.source))
    8 words.jsonl
    """

    format: str
    files: str | Sequence[str] | Mapping[str, str | Sequence[str]]
    keys: Mapping[str, DataKey | Mapping[str, Any]]
    seq_tag: str | None = None
    audio_root: str | None = None
    max_record_size: int = 256_000_000
    quoting: bool | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise fields.wrong(self, "format", self.format, f"one of {', '.join(FORMATS)}")
        if (self.format == "text") != isinstance(self.files, Mapping):
            expected = "a mapping {field: files}" if self.format == "text" else "a file, or several"
            raise fields.wrong(self, "files", self.files, expected)
        self._keys = fields.keys_of(self, self.keys)
        if self.seq_tag is not None:
            fields.text_of(self, "seq_tag", self.seq_tag)
        if self.audio_root is not None:
            self.audio_root = fields.folder_of(self, self.audio_root, "audio_root")
        if type(self.max_record_size) is not int or self.max_record_size < 1:
            raise fields.wrong(self, "max_record_size", self.max_record_size, "a number of bytes, at least 1")
        if self.quoting is not None:
            fields.flag_of(self, "quoting", self.quoting)
            if self.format not in ("csv", "tsv"):
                raise fields.wrong(self, "quoting", self.quoting, f"none with format {self.format}")

    def expand(self, pbegin: Any) -> Any:  # noqa: D102
        seq_tag = self.seq_tag or FORMATS[self.format].tag
        reading = ReadOptions(self.max_record_size, self.quoting)
        inputs = self._inputs()
        paths = [path for some in inputs.values() for path in some]
        sizes = {path: files.size(path) for path in dict.fromkeys(paths)}
        given = inputs if self.format == "text" else inputs[""]
        splits = [
            replace(split, audio_root=self.audio_root)
            for split in split_for_keys(self.format, given, self._keys, seq_tag, reading, sizes)
        ]
        vocabs = read_vocabs(self._keys)
        norms = read_norms(self._keys)
        origin = Origin(
            data_keys=array_specs(self._keys, splits, vocabs),
            vocab_files=vocab_files(self._keys),
            has_tags=seq_tag is not None,
            num_splits=len(splits),
            norms=norms,
        )
        check_norms(norms, origin.data_keys)
        beside = {path for split in splits for _, path in split.files} - sizes.keys()
        sizes |= {path: files.size(path) for path in beside}
        elements = [
            _ToRead(number, split, source, tuple((path, sizes[path]) for _, path in split.files))
            for number, (split, source) in enumerate(zip(splits, source_names(splits), strict=True))
        ]
        read = _Read(origin, self._keys, seq_tag)
        return (
            pbegin
            | "Splits" >> beam.Create(elements, reshuffle=True)
            | "Read" >> beam.ParDo(read).with_output_types(SequenceBlock)
        )

    def _inputs(self) -> dict[str, list[str]]:
        """Paths in corpus order; for ``text`` by field, else under ""."""
        by_field = self.files if isinstance(self.files, Mapping) else {"": self.files}
        found: dict[str, list[str]] = {}
        for field, patterns in by_field.items():
            where = f"files[{field!r}]" if field else "files"
            several = [patterns] if isinstance(patterns, str) else patterns
            if not isinstance(several, Sequence) or not all(isinstance(one, str) and one for one in several):
                raise fields.wrong(self, where, patterns, "a file or pattern, or a list of such")
            found[field] = []
            for pattern in several:
                matches = files.expand(fields.folder_of(self, pattern, where))
                if not matches:
                    what = "no file matches" if has_wildcard(pattern) else "no such file"
                    raise UsageError(f"ReadSequences: {where}: {pattern}: {what}")
                found[field] += matches
            if not several:
                raise fields.wrong(self, where, patterns, "at least one file")
        if len({len(paths) for paths in found.values()}) > 1:
            numbers = ", ".join(f"{len(paths)} for {field}" for field, paths in found.items())
            raise UsageError(f"ReadSequences: files: expected as many for every field, found {numbers}")
        return found


@dataclass(frozen=True)
class _ToRead:
    """A split to read.

    Attributes:
        number: Its place in corpus order.
        split: The split.
        source: Its file, as manifests name it.
        sizes: Paths and sizes of its files when they were cut.
    """

    number: int
    split: Split
    source: str
    sizes: tuple[tuple[str, int], ...]


class _Read(beam.DoFn):
    """Splits to blocks; the last of a split says that it is."""

    def __init__(self, origin: Origin, keys: tuple[DataKey, ...], seq_tag: str | None):
        self._origin = origin
        self._keys = keys
        self._seq_tag = seq_tag

    def setup(self) -> None:
        self._vocabs = read_vocabs(self._keys)
        self._counting = Counting("ReadSequences")

    def process(self, element: _ToRead) -> Iterator[SequenceBlock]:
        for path, size in element.sizes:
            if files.size(path) != size:
                raise SeqmillError(f"{path}: has changed since the pipeline was made; run again")
        for block in self._blocks(element):
            self._counting.block(block, read=block.read, rejected=block.read - block.num_seqs)
            yield block

    def _blocks(self, element: _ToRead) -> Iterator[SequenceBlock]:
        split, origin = element.split, self._origin
        encoders = split_encoders(split, self._keys, self._vocabs, origin.data_keys, origin.norms)
        collector = Collector(encoders, has_tags=self._seq_tag is not None)
        reader = open_keys(element.split, self._keys, self._seq_tag)
        held: list[SequenceBlock] = []
        num_kept = num_rejected = 0
        part = SplitPart(element.number, element.source, 0)
        for encoded in encoded_blocks(reader, self._keys, self._seq_tag, collector):
            block = collector.take_block(self._origin, encoded, part=part)
            num_kept, num_rejected = num_kept + block.num_seqs, num_rejected + block.read - block.num_seqs
            held.append(block)
            if sum(one.num_bytes for one in held) > BLOCK_BYTES or sum(one.read for one in held) > BLOCK_SEQS:
                yield join_blocks(held)
                held, part = [], replace(part, number=part.number + 1)
        held.append(collector.take_block(self._origin, part=part))
        num_rejected += held[-1].read
        check_accounted(reader, num_kept, num_rejected)
        yield _ended(join_blocks(held), reader)


def _ended(block: SequenceBlock, reader: Reader) -> SequenceBlock:
    assert block.part is not None
    end = SplitEnd(reader.num_positions, reader.num_records, reader.damaged)
    return replace(block, part=replace(block.part, end=end))
