"""Labels of a collection are those that the command counts over the same records in files."""

import apache_beam as beam
import pytest
from seqmill_runs import write_config, write_jsonl

from seqmill.transforms.beam import CountLabels, EncodeSequences
from seqmill.transforms.storage.errors import UsageError

KEYS = {
    "data": {"field": "text", "type": "words", "normalize": ["lower"], "min_count": 2},
    "target": {"type": "words", "vocab": "@data", "eos": True},
    "letters": {"field": "text", "type": "chars", "max_labels": 5},
    "number": {"type": "ints"},
}
RECORDS = [{"id": i, "text": f"B a c{i % 3}", "target": "b é", "number": i} for i in range(9)]
BAD = [{"id": 10, "text": None}, {"id": 11, "target": "b"}]


def test_labels_are_those_of_the_command(tmp_path, seqmill):
    keys = {**KEYS, "data": {**KEYS["data"]}}
    (labels,) = [*RECORDS, *BAD, "no record"] | CountLabels(keys, tmp_path / "vocab")
    write_jsonl(tmp_path / "a.jsonl", [*RECORDS, *BAD])
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"], "max_rejected": 0.5}}
    seqmill.succeeds("ingest", write_config(tmp_path, KEYS, corpora))
    for key in "data", "letters":
        written = (tmp_path / f"vocab/{key}.txt").read_bytes()
        assert written == (tmp_path / f"out/vocab/{key}.txt").read_bytes()
        assert written.decode().splitlines() == [*labels[key]]
    assert [*labels] == ["data", "letters"]


def test_nothing_counted_is_nothing_written(tmp_path):
    assert [] | CountLabels(KEYS, tmp_path / "vocab") == [] and not (tmp_path / "vocab").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"data": {"type": "ints"}},
            r"keys: found \['data'\]; expected one of type chars",
        ),
        ({"data": {"type": "words", "max_labels": 1}}, "max_labels"),
        ({"data": {"type": "words"}, "x": {"type": "words", "vocab": "@y"}}, "no data key 'y'"),
    ],
)
def test_keys_without_labels_to_count_are_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        CountLabels(keys, "vocab")


def test_windows_are_refused():
    with pytest.raises(UsageError, match="CountLabels: found a collection with windows"):
        windowed = beam.Pipeline() | beam.Create(RECORDS) | beam.WindowInto(beam.window.FixedWindows(1))
        _ = windowed | CountLabels(KEYS, "vocab")
    with pytest.raises(UsageError, match="`CountLabels`"):
        EncodeSequences({"data": {"type": "words"}}, order_by="id")


class Held(dict):
    """A large record; it is known how many there are at once."""

    alive = most = 0

    def __init__(self, text):
        super().__init__(text=text, sound=bytes(300_000))
        Held.alive += 1
        Held.most = max(Held.most, Held.alive)

    def __del__(self):
        Held.alive -= 1


def test_few_bytes_of_records_are_held_until_they_are_counted(tmp_path):
    keys = {"data": {"field": "text", "type": "words"}}
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        texts = pipeline | beam.Create(["a b"] * 40, reshuffle=False)
        _ = texts | beam.Map(Held) | CountLabels(keys, tmp_path / "vocab")
    assert (tmp_path / "vocab/data.txt").read_text().splitlines() == ["<pad>", "<unk>", "a", "b"]
    assert Held.most <= 6
