"""``verify`` finds damage of every kind and names the first wrong thing; ``show`` and reruns cope with it."""

import json
import shutil
from pathlib import Path

import pytest
import xxhash
from seqmill_runs import tree, write_config, write_jsonl

from seqmill.transforms.storage import files, manifest_file
from seqmill.transforms.storage.locks import only_writer

DATA = {"x": {"type": "ints"}, "y": {"type": "chars"}}
SHARD = "epochs/train/epoch-0001/batches-00000-of-00002.tfrecord"
OTHER = "epochs/train/epoch-0001/batches-00001-of-00002.tfrecord"
MANIFEST = "epochs/train/manifest.json"
EPOCH = "epochs/train/epoch-0001/manifest.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory, silent_seqmill):
    folder = tmp_path_factory.mktemp("written")
    records = [{"x": list(range(1 + i % 7)), "y": "abcdefg"[: 1 + i % 5]} for i in range(40)]
    write_jsonl(folder / "a.jsonl", records)
    config = write_config(
        folder,
        DATA,
        {"train": {"format": "jsonl", "files": ["a.jsonl"]}},
        batch_size=20,
        max_seqs=6,
        max_seq_length={"x": 6},
        seq_ordering="random",
        num_epochs=4,
        partition_epoch=2,
        num_shards=2,
    )

    silent_seqmill.succeeds("preprocess", config)
    return folder


def flip_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def edit_manifest(output: Path, edit, name: str = MANIFEST) -> None:
    content = json.loads((output / name).read_text())
    edit(content)
    files.write_json(str(output / name), manifest_file.seal(content))


def seal(output: Path, shard: str = SHARD) -> None:
    """Puts a changed shard's size and hash into the manifest, as one who wants to deceive would."""
    content = (output / shard).read_bytes()

    def edit(manifest):
        entry = next(s for s in manifest["shards"] if shard.endswith(s["file"]))
        entry["bytes"], entry["xxh128"] = len(content), xxhash.xxh3_128(content).hexdigest()

    edit_manifest(output, edit, f"{Path(shard).parent}/manifest.json")


def edit_planned(output: Path, number: int, edit) -> None:
    """Changes what both the corpus' manifest and the epoch's say of a planned epoch."""
    edit_manifest(output, lambda m: edit(m["epochs"][number - 1]))
    edit_manifest(output, lambda m: edit(m["planned"]), EPOCH.replace("0001", f"{number:04d}"))


def test_undamaged_output_is_right(output, seqmill):
    for path in (output, output / "epochs", output / "epochs/train"):
        ended = seqmill.succeeds("verify", path)
        assert "epochs/train: right: epochs 4, shards 8; hashes of all files" in ended.err
        assert "all values, lengths and tags compared with the store" in ended.err
    shutil.rmtree(output / "store")
    assert "not compared: no store beside" in seqmill.succeeds("verify", output).err


def expect_wrong(seqmill, output: Path, *places: str) -> None:
    ended = seqmill("verify", output)
    assert ended.code == 1, ended.err
    ended.names(*places)


@pytest.mark.parametrize("position", [0, 9, 14, 100, -3])
def test_flipped_byte(output, seqmill, position):
    flip_byte(output / SHARD, position)
    expect_wrong(seqmill, output, SHARD, "xxh128")
    seal(output)
    expect_wrong(seqmill, output, SHARD, "byte 0" if position >= 0 else "wrong CRC of the record")


def test_deleted_shard(output, seqmill):
    (output / OTHER).unlink()
    expect_wrong(seqmill, output, OTHER, "is not there")
    seqmill("show", output / "epochs/train", "--num_batches=1000").names(OTHER, "is not there")


def test_truncated_shard(output, seqmill):
    content = (output / SHARD).read_bytes()
    (output / SHARD).write_bytes(content[:-10])
    expect_wrong(seqmill, output, SHARD)
    seal(output)
    expect_wrong(seqmill, output, SHARD, "cut short")
    (output / SHARD).write_bytes(b"")
    seal(output)
    expect_wrong(seqmill, output, "epoch-0001/batches-00000-of-00002.tfrecord: batches: found 0")


def test_swapped_shards(output, seqmill):
    one, other = (output / SHARD).read_bytes(), (output / OTHER).read_bytes()
    (output / SHARD).write_bytes(other)
    (output / OTHER).write_bytes(one)
    expect_wrong(seqmill, output, SHARD, "the manifest says")
    seal(output, SHARD)
    seal(output, OTHER)
    expect_wrong(seqmill, output, SHARD, "batches: found 2, the manifest says 3")


def test_shard_of_another_epoch(output, seqmill):
    second = SHARD.replace("epoch-0001", "epoch-0002")
    (output / SHARD).write_bytes((output / second).read_bytes())
    (output / OTHER).write_bytes((output / OTHER.replace("epoch-0001", "epoch-0002")).read_bytes())
    seal(output, SHARD)
    seal(output, OTHER)
    second_epoch = json.loads((output / EPOCH.replace("0001", "0002")).read_text())

    def edit(manifest):
        for shard, other in zip(manifest["shards"], second_epoch["shards"], strict=True):
            shard["num_batches"] = other["num_batches"]

    edit_manifest(output, edit, EPOCH)
    edit_planned(output, 1, lambda entry: entry.update({**second_epoch["planned"], "epoch": 1}))
    expect_wrong(seqmill, output, "epochs 1 to 2: sequence", "occurs more than once")


EDITS = {
    "batches planned": (
        lambda m: m["epochs"][1].update(num_batches=99),
        "epoch-0002/manifest.json: num_batches is 6, but the corpus' manifest says 99",
    ),
    "another epoch planned": (
        lambda m: m["epochs"][1].update(fingerprint="0" * 32),
        "epoch-0002/manifest.json: not the epoch that",
    ),
    "kept": (lambda m: m["counts"].update(kept=99), "99 kept"),
    "read and kept": (
        lambda m: m["counts"].update(kept=m["counts"]["kept"] + 1, read=m["counts"]["read"] + 1),
        "left out, but the counts are of",
    ),
    "read and dropped": (
        lambda m: m["counts"].update(
            read=m["counts"]["read"] + 1,
            dropped={"max_seq_length:x": m["counts"]["dropped"]["max_seq_length:x"] + 1},
        ),
        "left out, but the counts are of",
    ),
    "one epoch less": (lambda m: m["epochs"].pop(), "epochs 1 to 3, expected 1 to 4"),
    "no epochs": (lambda m: m["epochs"].clear(), "epochs none, expected 1 to 4"),
    "tighter batch_size": (lambda m: m["options"]["batch_size"].update(x=8), "over batch_size = 8"),
    "tighter max_seqs": (lambda m: m["options"].update(max_seqs=2), "over max_seqs = 2"),
    "tighter max_seq_length": (
        lambda m: m["options"]["max_seq_length"].update(x=3),
        "breaks max_seq_length:x",
    ),
    "missing option": (lambda m: m["options"].pop("length_key"), "unusable options"),
    "option of another type": (lambda m: m["options"].update(chunking=3), "unusable options"),
    "number of another type": (lambda m: m["options"].update(partition_epoch=1e30), "partition_epoch: Input"),
    "option that is text": (lambda m: m["options"].update(max_seqs="many"), "max_seqs: Input"),
    "limit that is a list": (lambda m: m["options"]["batch_size"].update(x=[1]), "batch_size.x: Input"),
    "counts below 0": (
        lambda m: m["counts"].update(kept=-1, read=m["counts"]["read"] - m["counts"]["kept"] - 1),
        "below 0",
    ),
    "epochs without end": (
        lambda m: m["options"].update(num_epochs=1 << 62),
        "epochs 1 to 4, expected 1 to 4611686018427387904",
    ),
    "unknown data key": (lambda m: m["options"].update(length_key="z"), "no data key z"),
    "format": (lambda m: m.update(format="seqmill.batches/9"), "seqmill.batches/9"),
    "missing part": (lambda m: m.pop("counts"), "counts"),
    "no file's name": (lambda m: m["others"].update({"a\0b": m["others"]["vocab/y.txt"]}), "no file's name"),
    "path outside": (
        lambda m: m["others"].update({"../../../a.jsonl": m["others"]["vocab/y.txt"]}),
        "leads outside the folder",
    ),
    "absolute path": (
        lambda m: m["others"].update({"/etc/passwd": m["others"]["vocab/y.txt"]}),
        "leads outside the folder",
    ),
    "URL": (
        lambda m: m["others"].update({"memory://x": m["others"]["vocab/y.txt"]}),
        "leads outside the folder",
    ),
    "vocabulary outside": (
        lambda m: m["data_keys"]["y"].update(vocab="../../vocab/y.txt"),
        "leads outside the folder",
    ),
    "number of labels": (
        lambda m: m["data_keys"]["y"].update(num_labels=3),
        "y.txt: labels: found 7, expected 3",
    ),
    "data key of another dtype": (lambda m: m["data_keys"]["x"].update(dtype="<i8"), "batch"),
    "feature shape": (lambda m: m["data_keys"]["x"].update(feature_shape=[2]), "x/shape"),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS)
def test_edited_manifest(output, seqmill, edit, message):
    edit_manifest(output, edit)
    expect_wrong(seqmill, output, "epochs/train", message)


PLANNED_EDITS = {
    "batches": (lambda e: e.update(num_batches=99), "shards of 6 batches, expected 99"),
    "sequences": (lambda e: e.update(num_seqs=99), "epoch 2: sequences: found"),
    "chunks": (lambda e: e.update(num_chunks=99), "epoch 2: chunks: found"),
    "frames": (lambda e: e["num_frames"].update(x=99), "epoch 2: frames of x: found"),
    "padded frames": (lambda e: e["padded_frames"].update(y=99), "padded frames of y: found"),
    "fingerprint": (lambda e: e.update(fingerprint="0" * 32), "epoch 2: fingerprint: found 0000"),
}


@pytest.mark.parametrize(("edit", "message"), PLANNED_EDITS.values(), ids=PLANNED_EDITS)
def test_what_both_manifests_say_of_an_epoch_is_compared_with_its_files(output, seqmill, edit, message):
    edit_planned(output, 2, edit)
    expect_wrong(seqmill, output, "epochs/train", message)


EPOCH_EDITS = {
    "batches of a shard": (lambda m: m["shards"][0].update(num_batches=1), "shards of 3 batches, expected 5"),
    "bytes of a shard": (lambda m: m["shards"][0].update(bytes=1), "the manifest says 1"),
    "shards in another order": (
        lambda m: m["shards"].reverse(),
        "expected epoch-0001/batches-00000-of-00002",
    ),
    "one shard less": (lambda m: m["shards"].pop(), "expected epoch-0001/batches-00000-of-00001"),
    "path outside": (lambda m: m["shards"][0].update(file="../../../a.jsonl"), "names the file '../../"),
    "another epoch": (lambda m: m["planned"].update(epoch=2), "epoch is 2, but the corpus' manifest says 1"),
    "another corpus": (
        lambda m: m.update(corpus="dev"),
        "is of an epoch of corpus dev, expected one of train",
    ),
    "its plan": (lambda m: m["plan"].update(bytes=1), "plan.arrow"),
    "format": (
        lambda m: m.update(format="seqmill.epoch/0"),
        "format is 'seqmill.epoch/0', expected 'seqmill",
    ),
    "missing part": (lambda m: m.pop("planned"), "planned: Field required"),
}


@pytest.mark.parametrize(("edit", "message"), EPOCH_EDITS.values(), ids=EPOCH_EDITS)
def test_edited_manifest_of_an_epoch(output, seqmill, edit, message):
    edit_manifest(output, edit, EPOCH)
    expect_wrong(seqmill, output, "epochs/train/epoch-0001", message)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        (MANIFEST, lambda m: m["options"].update(max_seqs=2)),
        (MANIFEST, lambda m: m["data_keys"]["x"].update(dtype="<f4")),
        (MANIFEST, lambda m: m.update(corpus="dev")),
        (MANIFEST, lambda m: m["epochs"][0].update(num_batches=99)),
        (EPOCH, lambda m: m["planned"].update(fingerprint="")),
        (EPOCH, lambda m: m.update(corpus="dev")),
        (EPOCH, lambda m: m["shards"].pop()),
    ],
)
def test_rerun_makes_an_edited_manifest_again(written, seqmill, name, edit):
    before = tree(written / "out")
    edit_manifest(written / "out", edit, name)
    seqmill.succeeds("preprocess", written / "config.toml")
    assert tree(written / "out") == before


def test_manifest_that_is_no_json_or_gone(output, seqmill):
    (output / MANIFEST).write_text("{")
    expect_wrong(seqmill, output, MANIFEST, "not valid JSON")
    (output / MANIFEST).unlink()
    expect_wrong(seqmill, output, "epochs/train: no manifest.json: incomplete")
    seqmill("show", output).names("epochs/train: no manifest.json: incomplete")
    seqmill("show", output / SHARD).names("epochs/train: no manifest.json: incomplete")


def test_epochs_still_to_come_are_said_and_the_others_are_right(output, seqmill):
    for number in (2, 4):
        shutil.rmtree(output / f"epochs/train/epoch-{number:04d}")
    assert "right: epochs 2 of 4 (still to come: 2, 4), shards 4;" in seqmill.succeeds("verify", output).err
    seqmill.succeeds("show", output, "--epoch=3")
    seqmill("show", output, "--epoch=2").names(
        "epochs/train: epoch 2 is not there (run `seqmill preprocess`)"
    )
    flip_byte(output / SHARD, 100)
    expect_wrong(seqmill, output, SHARD, "xxh128")
    shutil.rmtree(output / "epochs/train/epoch-0001")
    shutil.rmtree(output / "epochs/train/epoch-0003")
    assert "right: epochs 0 of 4 (still to come: 1 to 4)" in seqmill.succeeds("verify", output).err


@pytest.mark.parametrize("command", ["verify", "show"])
def test_what_is_no_output_is_said_by_what_it_is(output, seqmill, command):
    for path, what in (
        (output.parent / "a.jsonl", "is a file, expected an output folder"),
        (output / "store", "is a store, expected an output folder"),
        (output / "store/train", "is a store, expected an output folder"),
        (output / "epochs/train/epoch-0001", f"expected the whole, {output}/epochs/train"),
        (output / "none.tfrecord", "no such f"),
    ):
        ended = seqmill(command, path)
        assert ended.code == 2
        ended.names(f"{path}: ", what)
    shutil.rmtree(output / "epochs")
    ended = seqmill(command, output)
    assert ended.code == 1
    ended.names(f"{output}: nothing preprocessed yet (run `seqmill preprocess`)")


def test_verify_tells_of_a_store_that_was_made_anew(output, seqmill):
    with (output.parent / "a.jsonl").open("a") as file:
        file.write('{"x": [1], "y": "a"}\n')
    seqmill.succeeds("plan", output.parent / "config.toml")
    expect_wrong(seqmill, output, "the store has changed since", "run `seqmill preprocess`")


def test_missing_vocabulary(output, seqmill):
    (output / "epochs/train/vocab/y.txt").unlink()
    expect_wrong(seqmill, output, "epochs/train/vocab/y.txt", "is not there")
    seqmill("show", output).names("epochs/train/vocab/y.txt")


def test_verify_waits_for_no_run(output, seqmill):
    with only_writer(str(output), "run"):
        for path in (output, output / "epochs", output / "epochs/train"):
            seqmill("verify", path).names("another run", "is at work here")
    seqmill.succeeds("verify", output)


def test_epochs_of_one_corpus_are_gone(output, seqmill):
    shutil.copytree(output / "store/train", output / "store/dev")
    expect_wrong(seqmill, output, "epochs/dev: no epochs", "store/dev is there: incomplete")
    seqmill.succeeds("verify", output / "epochs/train")


def test_changed_vocabulary(output, seqmill):
    vocab = output / "epochs/train/vocab/y.txt"
    labels = vocab.read_text().splitlines()
    vocab.write_text("\n".join([*labels[:-2], labels[-1], labels[-2]]) + "\n")
    expect_wrong(seqmill, output, "epochs/train/vocab/y.txt", "xxh128")
    seqmill("show", output).names("epochs/train/vocab/y.txt", "xxh128")


def test_damaged_store_beside_the_epochs(output, seqmill):
    flip_byte(output / "store/train/sequences-00000.arrow", 400)
    expect_wrong(seqmill, output, "store/train/sequences-00000.arrow", "xxh128")
    flip_byte(output / "store/train/sequences-00000.arrow", 400)
    (output / "store/train/lengths.arrow").unlink()
    expect_wrong(seqmill, output, "store/train/lengths.arrow")


CUT = [SHARD, "store/train/lengths.arrow", "store/train/sequences-00000.arrow"]
PLAN = "epochs/train/epoch-0002/plan.arrow"
GONE = [*CUT, PLAN, "epochs/train/vocab/y.txt", "store/train/vocab/y.txt", "vocab/y.txt", MANIFEST, EPOCH]


@pytest.mark.parametrize(
    ("name", "is_gone"),
    [*((name, True) for name in (*GONE, "store/train/manifest.json")), *((name, False) for name in CUT)],
)
def test_rerun_restores_what_is_gone_or_cut_short(written, seqmill, name, is_gone):
    output, config = written / "out", written / "config.toml"
    before = tree(output)
    if is_gone:
        (output / name).unlink()
    else:
        (output / name).write_bytes((output / name).read_bytes()[:-1])
    seqmill.succeeds("preprocess", config)
    assert tree(output) == before
    assert "preprocess train: up to date" in seqmill.succeeds("preprocess", config).err


def test_moved_output_and_corpus_are_up_to_date(output, seqmill):
    before = tree(output)
    ended = seqmill.succeeds("preprocess", output.parent / "config.toml")
    assert "ingest train: up to date" in ended.err
    assert "preprocess train: up to date" in ended.err
    assert tree(output) == before


def test_epochs_of_another_corpus(output, seqmill):
    (output / "epochs/train").rename(output / "epochs/dev")
    (output / "store/train").rename(output / "store/dev")
    seqmill("verify", output).names("epochs/dev: holds the epochs of corpus train, expected those of dev")
    (output / "epochs/dev").rename(output.parent / "copied")
    seqmill.succeeds("verify", output.parent / "copied")
