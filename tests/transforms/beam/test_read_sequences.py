"""Files that a pipeline reads become the store and epochs that the command makes of them."""

from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from folder_content import content
from seqmill_runs import write_config

from seqmill.pipelines.main import main
from seqmill.transforms.beam import PlanEpochs, ReadSequences, WriteBatches, WriteStore
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.store.sequence_store import Store

OPTIONS = {"max_seqs": 4, "num_shards": 2, "seq_ordering": "random", "max_rejected": 0.5}
KEYS = {"data": {"type": "floats"}, "classes": {"type": "words", "vocab": "classes.txt"}}
TRAIN = {"format": "jsonl", "files": ["*.jsonl"]}


def corpus(folder: Path, monkeypatch) -> Callable[[], ReadSequences]:
    """Files of many splits, with lines that are rejected, their configuration, and what reads them."""
    monkeypatch.setattr("seqmill.transforms.store.corpus_splits.SPLIT_BYTES", 300)
    for part in range(3):
        lines = [f'{{"data": [[{i}, 0.5]], "classes": "a b"}}' for i in range(20)]
        lines[part] = "no JSON"
        (folder / f"part-{part}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "classes.txt").write_text("a\nb\n")
    write_config(folder, KEYS, {"train": TRAIN}, **OPTIONS)
    keys = {**KEYS, "classes": {"type": "words", "vocab": str(folder / "classes.txt")}}
    return lambda: ReadSequences("jsonl", str(folder / "*.jsonl"), keys)


def test_files_become_what_the_command_makes_of_them(tmp_path, monkeypatch):
    read = corpus(tmp_path, monkeypatch)
    main(["preprocess", str(tmp_path / "config.toml")])

    store, folder = str(tmp_path / "mine/store/train"), str(tmp_path / "mine/epochs/train")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        written = pipeline | read() | WriteStore(store, max_rejected=0.5)
        manifests = written | PlanEpochs(store, OPTIONS) | WriteBatches(folder)
        assert_that(manifests | beam.Map(lambda manifest: manifest.counts.kept), equal_to([57]))

    # The epochs' manifests are the same, too; that of the store tells what a rerun would compare.
    assert content(Path(folder)) == content(tmp_path / "out/epochs/train")
    mine, commands = content(Path(store)), content(tmp_path / "out/store/train")
    assert len(mine) > 9
    assert mine.keys() == commands.keys()
    assert [name for name in mine if mine[name] != commands[name]] == ["manifest.json"]
    assert Store(store).manifest.counts == Store(str(tmp_path / "out/store/train")).manifest.counts


def test_blocks_that_come_twice_or_not_at_all_are_noticed(tmp_path, monkeypatch):
    read, store = corpus(tmp_path, monkeypatch), str(tmp_path / "store")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        blocks = pipeline | read()
        (blocks | beam.FlatMap(lambda block: [block, block])) | WriteStore(store, max_rejected=0.5)
    assert Store(store).manifest.counts.read == 60

    for lost in (
        beam.Filter(lambda block: block.part.split != 1),
        beam.Map(lambda block: block.keep(block.lengths["data"] > 1, {})),
    ):
        pipeline = beam.Pipeline(runner=FnApiRunner())
        pipeline | read() | lost | WriteStore(store, max_rejected=0.5)
        with pytest.raises((SeqmillError, ValueError), match=r"lost a block|`keep` counts what it drops"):
            pipeline.run()


def test_mistakes_are_said_when_a_pipeline_is_made(tmp_path):
    keys = {"data": {"type": "bytes"}}
    for wrong, message in [
        (lambda: ReadSequences("json", "a", keys), "format: found 'json'; expected one of jsonl, text"),
        (lambda: ReadSequences("text", "a", keys), "files: found 'a'; expected a mapping"),
        (lambda: ReadSequences("jsonl", "a", keys, quoting=True), "quoting: found True; expected none"),
        (lambda: ReadSequences("csv", "a", keys, max_record_size=0), "max_record_size: found 0; expected"),
        (
            lambda: beam.Pipeline(runner=FnApiRunner()) | ReadSequences("csv", f"{tmp_path}/*.csv", keys),
            r"files: .*\*.csv: no file matches",
        ),
    ]:
        with pytest.raises(UsageError, match=message):
            wrong()
