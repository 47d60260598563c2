"""Epochs that a pipeline writes are, byte for byte, those of the command."""

from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from seqmill_runs import tree, write_config, write_jsonl

from seqmill import Store, read_manifest
from seqmill.pipelines.main import main
from seqmill.transforms.batches import layout
from seqmill.transforms.batches.handed_plan import leaving_plan, take_plan
from seqmill.transforms.beam import (
    DropByLength,
    EncodeSequences,
    PlanEpochs,
    PreBatch,
    WriteBatches,
    WriteStore,
)
from seqmill.transforms.planning.plan import plan_epoch
from seqmill.transforms.storage.errors import SeqmillError, UsageError

OPTIONS = {
    "batch_size": {"data": 60},
    "seq_ordering": "laplace:.8",
    "num_epochs": 2,
    "num_shards": 3,
    "chunking": {"data": "7:5"},
    "max_seq_length": {"data": 17},
}
TRAIN = {"format": "jsonl", "files": ["*.jsonl"], "seq_tag": "name"}
KEYS = {"data": {"type": "floats"}, "classes": {"type": "words"}}


def corpus(folder: Path, number: int = 60) -> list[dict]:
    """The records of a corpus, which is written into a folder with its configuration and vocabulary."""
    rng = np.random.default_rng(1)
    records = [
        {
            "id": index,
            "data": rng.normal(size=(int(rng.integers(1, 20)), 3)).round(3).tolist(),
            "classes": " ".join(rng.choice(["a", "b", "ç"], size=3)),
            "name": f"ü-{index}",
        }
        for index in range(number)
    ]
    write_jsonl(folder / "train.jsonl", records)
    (folder / "classes.txt").write_text("a\nb\nç\n")
    keys = {**KEYS, "classes": {"type": "words", "vocab": "classes.txt"}}
    write_config(folder, keys, {"train": TRAIN}, **OPTIONS)
    return records


def encode(folder: Path) -> EncodeSequences:
    keys = {**KEYS, "classes": {"type": "words", "vocab": str(folder / "classes.txt")}}
    return EncodeSequences(keys, order_by="id", seq_tag="name", feature_shapes={"data": (3,)})


def shards(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.tfrecord")}


def test_records_in_any_order_become_the_epochs_of_the_command(tmp_path):
    records = corpus(tmp_path)
    main(["preprocess", str(tmp_path / "config.toml")])
    expected = shards(tmp_path / "out/epochs/train")
    assert len(expected) == 6

    folder = tmp_path / "mine/epochs/train"
    (manifest,) = records[::-1] | encode(tmp_path) | PreBatch(str(folder), OPTIONS)
    assert shards(folder) == expected
    assert manifest.counts.dropped == {"max_seq_length:data": sum(len(one["data"]) > 17 for one in records)}
    assert not (folder / ".store").exists()
    main(["verify", str(folder)])


def test_a_pipeline_goes_on_where_it_was(tmp_path):
    records, store, folder = corpus(tmp_path), str(tmp_path / "store/train"), tmp_path / "epochs/train"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        manifests = (
            pipeline
            | beam.Create(records)
            | encode(tmp_path)
            | DropByLength(max_seq_length={"data": 17})
            | WriteStore(store)
            | PlanEpochs(store, OPTIONS)
            | WriteBatches(str(folder))
        )
        reasons = manifests | beam.Map(lambda manifest: [*manifest.counts.dropped])
        assert_that(reasons, equal_to([["max_seq_length:data"]]))
    before = shards(folder)
    files = sorted(folder.rglob("*.tfrecord"))
    files[1].write_bytes(b"damaged")
    kept = {path: path.stat().st_mtime_ns for path in files}
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        segments = pipeline | PlanEpochs(store, OPTIONS)
        assert_that(segments | beam.combiners.Count.Globally(), equal_to([6]))
        segments | WriteBatches(str(folder))
    assert shards(folder) == before
    assert [path for path in files if path.stat().st_mtime_ns != kept[path]] == [files[1]]


def _shorter(planned):
    return replace(planned, segment=replace(planned.segment, bytes=planned.segment.bytes - 1))


def test_epochs_are_planned_once_and_again_where_the_plan_cannot_be_had(tmp_path, monkeypatch):
    store = str(tmp_path / "store/train")
    corpus(tmp_path) | encode(tmp_path) | WriteStore(store)
    planned = []
    monkeypatch.setattr(layout, "plan_epoch", lambda *given: planned.append(given) or plan_epoch(*given))
    once = tmp_path / "once"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        segments = pipeline | PlanEpochs(store, OPTIONS) | beam.Map(lambda segment: segment)
        segments | WriteBatches(str(once))
    assert len(planned) == OPTIONS["num_epochs"]
    assert not (once / "planned").exists()
    main(["verify", str(once), f"--store={tmp_path}"])

    segments = [store] | PlanEpochs(store, OPTIONS)
    planned.clear()
    alone = tmp_path / "alone"
    segments | WriteBatches(str(alone))
    assert len(planned) == OPTIONS["num_epochs"] and tree(alone) == tree(once)

    damaged = tmp_path / "damaged"
    fingerprint = read_manifest(str(once)).fingerprint
    layouts = layout.lay_out(Store(store), layout.planned_by(Store(store), segments[0].asked.schedule))
    assert len([*leaving_plan(str(damaged), fingerprint, layouts)]) == 2
    given = [one.segment for one in segments]
    assert len(take_plan(str(damaged), fingerprint, given) or ()) == 2
    assert (
        take_plan(str(damaged), "0" * 32, given) is None
        and take_plan(str(damaged), fingerprint, given[1:]) is None
    )
    (damaged / "planned/epoch-0002.arrow").write_bytes(b"no plan")
    assert take_plan(str(damaged), fingerprint, given) is None
    segments | WriteBatches(str(damaged))
    assert tree(damaged) == tree(once)

    other = tmp_path / "other"
    with pytest.raises(SeqmillError, match="planned otherwise than PlanEpochs has"):
        [*map(_shorter, segments)] | WriteBatches(str(other))
    with pytest.raises(SeqmillError, match="5 of 6 segments came"):
        segments[1:] | WriteBatches(str(other))


def test_mistakes_are_said_when_a_pipeline_is_made(tmp_path):
    store = str(tmp_path / "store")
    for wrong, message in [
        (
            lambda: PlanEpochs(store, {"bath_size": 3}),
            "options: bath_size: unknown option; did you",
        ),
        (
            lambda: PlanEpochs(store, {}),
            "PlanEpochs: options: expected batch_size or max_seqs",
        ),
        (
            lambda: PlanEpochs("", {"max_seqs": 1}),
            "store_folder: found ''; expected a folder or URL",
        ),
        (lambda: PreBatch(store, 3), r"PreBatch: options: found 3; expected a mapping"),
        (
            lambda: WriteStore(store, max_rejected=2),
            "max_rejected: found 2; expected a number from 0",
        ),
        (lambda: DropByLength(), "DropByLength: found no limit"),
        (lambda: DropByLength({"data": 0}), r"max_seq_length\['data'\]: found 0; expected a whole number"),
        (lambda: EncodeSequences({}, "id"), "keys: found {}; expected a mapping"),
        (lambda: EncodeSequences(KEYS, "id"), r"classes.vocab: found none; expected a file with one label"),
        (
            lambda: EncodeSequences({"data": {"type": "byte"}}, "id"),
            "data.type: found 'byte'; expected",
        ),
        (
            lambda: EncodeSequences({"data": {"type": "floats"}}, "id"),
            "found {}; expected {'data'",
        ),
        (
            lambda: EncodeSequences({"data": {"type": "log_mel", "normalization": "global"}}, "id"),
            "keys: data.normalization: found 'global'; expected 'sequence' or a file with statistics",
        ),
        (lambda: EncodeSequences({"data": {"type": "bytes"}}, ""), "order_by: found ''; expected text"),
    ]:
        with pytest.raises(UsageError, match=message):
            wrong()

    encode = EncodeSequences({"data": {"type": "bytes"}}, order_by="id")
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline | beam.Create([{"id": 1, "data": "a"}]) | encode | WriteStore(store)
    with pytest.raises(UsageError, match=r"the same pipeline writes .*; chain them: … | WriteStore"):
        pipeline | PlanEpochs(store, {"max_seqs": 1})
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline | PlanEpochs(store, {"max_seqs": 1}) | WriteBatches(str(tmp_path / "epochs"))
    with pytest.raises(SeqmillError, match=r"no sequence store is there \(yet\).*chain them"):
        pipeline.run()
