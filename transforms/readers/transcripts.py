"""Folders like LibriSpeech's: ``*.trans.txt`` with ``<name> <text>`` a line, and sound files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seqmill.transforms.readers.file_kind import check_text
from seqmill.transforms.readers.lines import LongLine, is_compressed, line_blocks, split_lines, zeros_in
from seqmill.transforms.readers.sorted_lines import key_and_rest
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Reader,
    ReadOptions,
    Record,
    Split,
    single_file_split,
)
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence

TAG, AUDIO = "seq_tag", "audio"
PATTERN = "**/*.trans.txt"
_ENDINGS = ("flac", "wav", "ogg", "opus", "mp3")


def split_transcripts(path: str, options: ReadOptions) -> list[Split]:
    """The lines of a file, which are few: those of a chapter. Raises SeqmillError where it is no text."""
    check_text(path, "librispeech")
    is_compressed(path)  # which says too where it cannot be read
    return [single_file_split("librispeech", path, options)]


class TranscriptsReader(Reader):
    """Reads the lines of a file with transcripts.

    A record has ``seq_tag`` (the name), ``text``, ``audio`` (the file of that name with the ending of a sound
    file), and ``speaker`` and ``chapter`` where the name is ``speaker-chapter-number``.

    Args:
        split: What to read.
        fields: Names of the fields that will be asked for.
    """

    def __init__(self, split: Split, fields: Sequence[str]):
        super().__init__(split)
        self._has_audio = AUDIO in fields

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (line, record or reject); blank lines are no records."""
        position, path, options = 0, self.split.source, self.split.options
        names = frozenset(files.list_names(files.parent(path))) if self._has_audio else frozenset()
        try:
            for block in line_blocks(path, max_line=options.max_record_size):
                if isinstance(block, LongLine):
                    yield position, options.too_large("a line", block.num_bytes)
                    position += 1
                    continue
                self.num_bytes += len(block)
                for line in filter(bytes.strip, split_lines(block)):
                    try:
                        yield position, self._record(line, names)
                    except RejectedSequence as error:
                        yield position, error
                    position += 1
        except DamagedFileError as error:
            self.lose(str(error))
        self.num_positions = self.num_records = position

    def _record(self, line: bytes, names: frozenset[str]) -> Record:
        try:
            name, text = (part.decode() for part in key_and_rest(line))
        except UnicodeDecodeError as error:
            raise RejectedSequence("invalid UTF-8", str(error)) from None
        if "\0" in text:
            raise zeros_in(text)
        record = {TAG: name, "text": text}
        parts = name.split("-")
        if len(parts) == 3:
            record["speaker"], record["chapter"] = parts[:2]
        if self._has_audio:
            found = [f"{name}.{ending}" for ending in _ENDINGS if f"{name}.{ending}" in names]
            if len(found) != 1:
                detail = f"{', '.join(found) or 'nothing'} called {name}, with the ending of a sound file"
                raise RejectedSequence("missing audio file" if not found else "several audio files", detail)
            record[AUDIO] = found[0]
        return record
