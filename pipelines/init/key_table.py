"""The table of a data key: its type and options, tried on a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqmill.pipelines.init.corpus_table import Roots
from seqmill.pipelines.init.guess_keys import Guess
from seqmill.pipelines.init.measure import measure, sample_rates
from seqmill.pipelines.init.sample_records import Sample
from seqmill.pipelines.init.write_config import Line, toml
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.storage.errors import SeqmillError

_SPEECH_RATE, _TELEPHONE_RATE = 16_000, 8_000


class KeyTable:
    """A data key's table, and how long its sequences are.

    Attributes:
        guess: What was guessed of it.
        lines: The lines of its table.
        guesses: What is printed of it.
        lengths: Of the sequences of the sample.
    """

    def __init__(self, guess: Guess, sample: Sample, roots: Roots):
        self.guess = guess
        kind = guess.kind
        values = sample.fields[kind.field]
        root = roots.of_values(sample.folder, values)
        self.lines = [Line("field", kind.field), Line("type", kind.type, guess.why)]
        self.guesses = [f"data key {guess.key}: type {kind.type}, as {guess.why}"]
        options: dict[str, Any] = dict(guess.options)
        if kind.type == "log_mel":
            options |= self._sound(values, root)
        elif "bos" in options:
            self._add("bos", True, "<s> before and </s> behind the labels, as a model that writes them needs")
            self._add("eos", True, "")
        elif "normalize" in options:
            self._add("normalize", options["normalize"], "capitals and punctuation are not heard")
        self.lengths: Sequence[int] = kind.lengths
        try:
            key = DataKey(name=guess.key, field=kind.field, type=kind.type, **options)
            measured = measure(key, sample, root)
        except SeqmillError as error:
            self.guesses.append(f"warning: {guess.key} was not tried: {error}")
            return
        self.lengths = measured.lengths
        number = len(measured.rejected)
        if number and not measured.lengths:
            raise SeqmillError(
                f"{kind.field}: the first {number} values are all unusable: {measured.rejected[0]}"
            )
        if missing := sample.num_records - len(values):
            self.guesses.append(
                f"warning: {missing} of the first {sample.num_records} records have no {kind.field}: they "
                "will be rejected, and a run ends where these are more than max_rejected"
            )
        if number:
            self.guesses.append(
                f"warning: {number} of the {number + len(measured.lengths)} values of {kind.field} that were "
                f"tried will be rejected, the first: {measured.rejected[0]}"
            )

    def _add(self, name: str, value: Any, why: str) -> None:
        self.lines.append(Line(name, value, why))
        if why:
            self.guesses.append(f"data key {self.guess.key}: {name} = {toml(value)}: {why}")

    def _sound(self, values: Sequence[Any], root: str) -> dict[str, Any]:
        try:
            rates = sample_rates(values, root)
        except SeqmillError as error:
            self.guesses.append(f"warning: no header was read: {error}")
            return {}
        if not rates:
            return {}
        (rate, number), total = rates.most_common(1)[0], sum(rates.values())
        why = f"{number} of the first {total} recordings have {rate:,} Hz"
        if rate > _SPEECH_RATE:
            why += f"; {_SPEECH_RATE:,} do for speech, and they are resampled"
        options = {"sample_rate": min(rate, _SPEECH_RATE)}
        self._add("sample_rate", options["sample_rate"], why)
        if rate <= _TELEPHONE_RATE:
            options["num_mel_bins"] = 40
            self._add("num_mel_bins", 40, "half of the usual 80, for half of the usual sample rate")
        return options
