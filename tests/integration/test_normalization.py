"""Frames normalized by statistics over ``train``: exact, the same however they are counted, never stale."""

import json

import apache_beam as beam
import numpy as np
import orjson
import pytest
from seqmill_runs import mtimes, read_epochs, sequences, tree, write_config, write_jsonl

from seqmill.transforms.beam import EncodeSequences, ReadSequences, WriteStore
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import seal
from seqmill.transforms.store.sequence_store import Store

NUM_SEQS, SIZE = 40, 3
DATA = {"data": {"type": "floats", "normalization": "global"}}
TRAIN = {"format": "jsonl", "files": ["train-*.jsonl"], "seq_tag": "id"}
DEV = {"format": "jsonl", "files": ["dev.jsonl"], "seq_tag": "id"}


def frames(number):
    rng = np.random.default_rng(number)
    values = rng.normal(10 ** rng.uniform(-6, 6), 3, size=(int(rng.integers(1, 9)), SIZE)).astype("f4")
    values[:, 1] = 7
    return values


def write_corpora(folder, num_files):
    folder.mkdir(exist_ok=True)
    records = [{"id": f"utt {n}", "data": frames(n).tolist()} for n in range(NUM_SEQS)]
    records[5]["data"] = [[1, 2, "x"]]
    for part, some in enumerate(np.array_split(np.arange(NUM_SEQS), num_files)):
        write_jsonl(folder / f"train-{part:02}.jsonl", [records[n] for n in some])
    write_jsonl(folder / "dev.jsonl", [{"id": "dev", "data": frames(99).tolist()}])


def run(seqmill, folder, *flags, data=DATA, command="preprocess"):
    corpora = {"train": TRAIN, "dev": DEV}
    config = write_config(folder, data, corpora, seq_ordering="random", max_rejected=0.1)
    return seqmill.succeeds(command, config, *flags)


def test_the_same_statistics_whatever_the_splits_and_workers(tmp_path, seqmill):
    flags = {
        "one": (1, ()),
        "many": (13, ("--direct_running_mode=multi_processing", "--direct_num_workers=2")),
        "Beam": (4, ("--runner=FnApiRunner",)),
    }
    for name, (num_files, options) in flags.items():
        write_corpora(tmp_path / name, num_files)
        run(seqmill, tmp_path / name, *options)
    norm = (tmp_path / "one/out/norm/data.json").read_bytes()
    shards = [path.read_bytes() for path in sorted((tmp_path / "one/out/epochs").rglob("*.tfrecord"))]
    for name in flags:
        out = tmp_path / name / "out"
        assert (out / "norm/data.json").read_bytes() == norm
        for corpus in ("train", "dev"):
            assert (out / "store" / corpus / "norm/data.json").read_bytes() == norm
            assert (out / "epochs" / corpus / "norm/data.json").read_bytes() == norm
        assert [path.read_bytes() for path in sorted((out / "epochs").rglob("*.tfrecord"))] == shards

    values = np.concatenate([frames(n).astype("f8") for n in range(NUM_SEQS) if n != 5])
    content = json.loads(norm)
    assert content["num_frames"] == len(values)
    np.testing.assert_allclose(content["mean"], values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(content["stddev"], [values[:, 0].std(), 0, values[:, 2].std()], rtol=1e-9)
    mean, stddev = np.array(content["mean"]), np.array([content["stddev"][0], 1, content["stddev"][2]])
    out = tmp_path / "many/out"
    for corpus, number in (("train", 7), ("dev", 99)):
        tag = f"utt {number}".encode() if corpus == "train" else b"dev"
        found = {tag: array for tag, _, array in sequences(read_epochs(out, corpus)[0], "data")}[tag]
        np.testing.assert_array_equal(found, ((frames(number) - mean) / stddev).astype("f4"))
    manifest = json.loads((out / "epochs/train/manifest.json").read_bytes())
    assert manifest["data_keys"]["data"]["processing"] == {"normalization": "statistics"}
    assert manifest["data_keys"]["data"]["norm"] == "norm/data.json"
    assert "norm/data.json" in manifest["others"]
    seqmill.succeeds("verify", out)


def test_a_file_with_the_same_statistics_gives_the_same_output(tmp_path, seqmill):
    write_corpora(tmp_path, 2)
    run(seqmill, tmp_path)
    before = mtimes(tmp_path / "out")
    assert "up to date" in run(seqmill, tmp_path).err
    (tmp_path / "train.json").write_bytes((tmp_path / "out/norm/data.json").read_bytes())
    given = {"data": {**DATA["data"], "normalization": "train.json"}}
    assert "up to date" in run(seqmill, tmp_path, data=given).err
    assert mtimes(tmp_path / "out") == before
    content = tree(tmp_path / "out/store")
    norm = tmp_path / "out/norm/data.json"
    norm.write_bytes(norm.read_bytes() + b" ")
    assert "out/norm: missing frames, or not what was written" in run(seqmill, tmp_path).err
    assert tree(tmp_path / "out/store") == content

    records = [orjson.loads(line) for path in sorted(tmp_path.glob("train-*.jsonl")) for line in path.open()]
    records = [{**record, "order": n} for n, record in enumerate(records)]
    key = {"type": "floats", "normalization": str(tmp_path / "train.json")}
    encode = EncodeSequences({"data": key}, "order", seq_tag="id", feature_shapes={"data": (SIZE,)})
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(records) | encode | WriteStore(str(tmp_path / "own"), max_rejected=0.1)
    read = ReadSequences("jsonl", [f"{tmp_path}/train-*.jsonl"], {"data": key}, seq_tag="id")
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | read | WriteStore(str(tmp_path / "read"), max_rejected=0.1)
    ours = Store(str(tmp_path / "out/store/train"))
    for own in (Store(str(tmp_path / "own")), Store(str(tmp_path / "read"))):
        assert own.manifest.others["norm/data.json"] == ours.manifest.others["norm/data.json"]
        assert own.data_keys == ours.data_keys
        for row in range(ours.num_seqs):
            np.testing.assert_array_equal(own.sequence("data", row), ours.sequence("data", row))


def test_frames_that_are_joined_are_counted_where_they_stand(tmp_path, seqmill):
    rows = [{"id": f"utt {n}", "data": frames(n).tolist(), "x": n} for n in range(6)]
    write_jsonl(tmp_path / "both.jsonl", rows)
    write_jsonl(tmp_path / "data.jsonl", [{"id": row["id"], "data": row["data"]} for row in rows])
    write_jsonl(tmp_path / "x.jsonl", [{"id": row["id"], "x": row["x"]} for row in rows])
    data = {**DATA, "x": {"type": "ints"}}
    join = {"format": "jsonl", "files": ["data.jsonl"], "data_keys": ["data"], "seq_tag": "id"}
    for output, source, options in (("one", "both.jsonl", {}), ("two", "x.jsonl", {"join": join})):
        corpus = {"format": "jsonl", "files": [source], "seq_tag": "id", **options}
        seqmill.succeeds("preprocess", write_config(tmp_path, data, {"train": corpus}, output=output))
    for name in ("norm/data.json", "epochs/train/norm/data.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    one, two = (sequences(read_epochs(tmp_path / name)[0], "data") for name in ("one", "two"))
    assert [(tag, array.tobytes()) for tag, _, array in one] == [(t, a.tobytes()) for t, _, a in two]


def test_a_changed_file_that_a_record_names_is_counted_again(tmp_path, seqmill):
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", frames(number))
        write_jsonl(tmp_path / f"train-{number}.jsonl", [{"id": str(number), "data": f"{number}.npy"}])
    write_jsonl(tmp_path / "dev.jsonl", [{"id": "dev", "data": "0.npy"}])
    run(seqmill, tmp_path)
    np.save(tmp_path / "2.npy", frames(2) + 1)
    run(seqmill, tmp_path, command="ingest")
    again = tree(tmp_path / "out/store")
    run(seqmill, tmp_path, f"--output={tmp_path}/new", command="ingest")
    assert tree(tmp_path / "new/store") == again


@pytest.mark.parametrize(
    ("corpora", "value", "problem"),
    [
        ({"dev": DEV}, "global", 'data.data.normalization: found "global"; expected a file norm/<key>.json'),
        ({"train": TRAIN}, "sequenze", 'no such file; expected "sequence", "global", a file'),
        ({"train": TRAIN}, {"mean": "m.txt", "stddev": 1}, "mean has 2 numbers, and a frame has 3"),
    ],
)
def test_what_cannot_be_normalized(tmp_path, seqmill, corpora, value, problem):
    write_corpora(tmp_path, 1)
    (tmp_path / "m.txt").write_text("1\n2\n")
    data = {"data": {"type": "floats", "normalization": value}}
    seqmill("ingest", write_config(tmp_path, data, corpora, max_rejected=0.1)).names(problem)


def test_files_that_are_yet_to_come_cannot_be_counted_but_given(tmp_path, seqmill):
    write_corpora(tmp_path, 1)
    windows = {"interval": 0.05, "settle": 0, "idle": 0.1}

    def watch(normalization):
        data = {"data": {"type": "floats", "normalization": normalization}}
        config = write_config(tmp_path, data, {"train": TRAIN}, windows=windows, max_rejected=0.1)
        return seqmill("preprocess", config, "--watch")

    watch("global").names('found "global"; with --watch frames cannot be counted')
    given = {"mean": 2, "stddev": 4}
    assert watch(given).code == 0
    (window,) = (path for path in (tmp_path / "out/epochs/train").iterdir() if path.is_dir())
    batches = read_epochs(tmp_path / "out", f"train/{window.name}")[0]
    found = {tag: array for tag, _, array in sequences(batches, "data")}
    np.testing.assert_array_equal(found[b"utt 7"], (frames(7) - 2.0) / 4)
    assert watch(given).code == 0
    watch({**given, "mean": 3}).names("data.data.normalization: not the statistics that the windows in")


def test_a_store_without_its_statistics_is_none(tmp_path, seqmill):
    write_corpora(tmp_path, 1)
    run(seqmill, tmp_path, command="ingest")
    path = tmp_path / "out/store/train/manifest.json"
    content = json.loads(path.read_bytes())
    del content["others"]["norm/data.json"]
    files.write_json(str(path), seal(content))
    with pytest.raises(SeqmillError, match=r"it has no hash of norm/data\.json"):
        Store(str(path.parent))
    assert "made again" in run(seqmill, tmp_path).err
    seqmill.succeeds("verify", tmp_path / "out")
