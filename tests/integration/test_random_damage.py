"""Whatever bytes change: nothing wrong is called right, nothing crashes, and a rerun makes all whole."""

import json
import random
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xxhash
from seqmill_runs import tree, write_config, write_jsonl

from seqmill.transforms.batches import epoch_manifest, manifest, record
from seqmill.transforms.batches.read_batches import read_epoch
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage import files, manifest_file
from seqmill.transforms.storage.errors import SeqmillError

SEED = 1
DATA = {"x": {"type": "ints"}, "y": {"type": "chars"}, "z": {"type": "floats"}}


@pytest.fixture(scope="module")
def written(tmp_path_factory, silent_seqmill):
    folder = tmp_path_factory.mktemp("written")
    records = [
        {
            "x": list(range(1 + i % 9)),
            "y": "abcdefg"[: 1 + i % 5],
            "z": [[0.5, i]] * (1 + i % 9),
            "tag": f"t{i}",
        }
        for i in range(40)
    ]
    write_jsonl(folder / "a.jsonl", [*records, "{"])
    config = write_config(
        folder,
        DATA,
        {"train": {"format": "jsonl", "files": ["a.jsonl"], "seq_tag": "tag"}},
        batch_size=20,
        chunking={"x": "4:3", "z": "4:3"},
        seq_ordering="random",
        num_epochs=2,
        num_shards=2,
        max_rejected=0.1,
    )

    silent_seqmill.succeeds("preprocess", config)
    return folder


def damage(path: Path, rng: random.Random) -> None:
    """Flips a few bits, cuts, lengthens, or moves a part of the file."""
    content = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "flip", "cut", "longer", "swap", "zeros"])
    place = rng.randrange(len(content)) if content else 0
    if kind == "longer" or not content:
        content[place:place] = rng.randbytes(rng.randint(1, 20))
    elif kind == "flip":
        for _ in range(rng.randint(1, 3)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del content[place:]
    elif kind == "zeros":
        content[place : place + 8] = bytes(len(content[place : place + 8]))
    else:
        content = content[place:] + content[:place]
    if bytes(content) == path.read_bytes():
        content += b"\0"
    path.write_bytes(content)


def test_verify_finds_any_damage_of_what_is_named(output, seqmill):
    _damage_and_verify(output, seqmill, SEED)


def _damage_and_verify(output, seqmill, seed):
    rng = random.Random(seed)
    named = [
        output / name for name in tree(output) if "/receipts/" not in name and not name.startswith("vocab/")
    ]
    assert len(named) >= 12
    for path in named:
        for _ in range(3):
            whole = path.read_bytes()
            damage(path, rng)
            ended = seqmill("verify", output)
            assert ended.code == 1, f"{path} called right"
            assert "Traceback" not in ended.err
            path.write_bytes(whole)
    seqmill.succeeds("verify", output)


def test_reading_never_gives_what_was_not_written(output):
    rng = random.Random(SEED)
    folder = str(output / "epochs/train")
    content = manifest.read(folder)
    expected = [batch.arrays["x"].copy() for batch in read_epoch(folder, content, content.epochs[0])]
    for path in sorted((output / "epochs/train/epoch-0001").glob("*.tfrecord")):
        whole = path.read_bytes()
        for _ in range(20):
            damage(path, rng)
            read = []
            with pytest.raises(SeqmillError):
                for batch in read_epoch(folder, content, content.epochs[0]):
                    read.append(batch.arrays["x"].copy())
            for found, want in zip(read, expected, strict=False):
                np.testing.assert_array_equal(found, want)
            path.write_bytes(whole)


def test_no_file_of_ours_holds_a_path_of_this_machine(written):
    for name, content in tree(written / "out").items():
        assert str(written).encode() not in content, name


@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
def test_a_rerun_makes_damaged_files_again(output, seqmill, seed):
    _damage_and_rerun(output, seqmill, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_reruns_for_long(output, seqmill, seed):
    _damage_and_rerun(output, seqmill, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2000, 2100))
def test_verify_for_long(output, seqmill, seed):
    _damage_and_verify(output, seqmill, seed)


def _damage_and_rerun(output, seqmill, seed):
    rng = random.Random(seed)
    before = tree(output)
    names = rng.sample(sorted(before), rng.randint(1, 6))
    for name in names:
        damage(output / name, rng)
    ended = seqmill.succeeds("preprocess", output.parent / "config.toml")
    after = tree(output)
    for name in before.keys() | after.keys():
        if "/receipts/" not in name:
            assert after.get(name) == before.get(name), (name, names)
            if name in names:
                assert "made again" in ended.err
    # Nobody had to look at what earlier tasks had left. Now somebody must.
    for path in (*output.rglob("manifest.json"), output / "vocab/vocab.json"):
        path.unlink()
    seqmill.succeeds("preprocess", output.parent / "config.toml")
    assert tree(output) == before


def test_check_hashes_again_what_is_otherwise_known_by_its_size(written, seqmill):
    memory = fsspec.filesystem("memory")
    config = written / "config.toml"
    flag = "--output=memory://checked"
    seqmill.succeeds("preprocess", config, flag)
    names = [
        *memory.glob("/checked/epochs/train/epoch-0001/*.[at]*"),
        "/checked/store/train/sequences-00000.arrow",
    ]
    before = {name: memory.cat(name) for name in names}
    for name in names:
        memory.pipe(name, before[name][:-1] + b"?")
    assert "preprocess train: up to date" in seqmill.succeeds("preprocess", config, flag).err
    ended = seqmill.succeeds("preprocess", config, flag, "--check")
    assert ended.err.count("made again") == len(names)
    assert {name: memory.cat(name) for name in names} == before


def reseal(folder: Path, name: str) -> None:
    """Puts a changed file's size and hash into its manifest, as one who wants to deceive would."""
    path = (folder / name).parent / "manifest.json"
    content = json.loads(path.read_text())
    data = (folder / name).read_bytes()
    entries = [*content.get("files", ()), *content.get("shards", ())]
    entry = next((entry for entry in entries if entry["file"] == name), None) or content["others"][name]
    entry["bytes"], entry["xxh128"] = len(data), xxhash.xxh3_128_hexdigest(data)
    files.write_json(str(path), manifest_file.seal(content))


def test_a_changed_value_under_right_hashes_is_found_by_the_store(output, seqmill):
    folder, name = output / "epochs/train", "epoch-0001/batches-00000-of-00002.tfrecord"
    content = manifest.read(str(folder))
    shard = epoch_manifest.read(str(folder), content, content.epochs[0]).shards[0]
    batches = list(read_epoch(str(folder), content, content.epochs[0]))[: shard.num_batches]
    changed = batches[1].arrays["z"].copy()
    changed[0, 0, 0] += 1
    batches[1].arrays["z"] = changed
    with (folder / "other").open("wb") as file:
        for batch in batches:
            file.writelines(tfrecord.framed(record.encode(batch)))
    (folder / "other").replace(folder / name)  # what was read is still mapped
    reseal(folder, name)
    ended = seqmill("verify", output)
    assert ended.code == 1
    ended.names(name, "batch 1 is not what the store gives for it")
    shutil.rmtree(output / "store")
    assert "values, lengths, tags and the plan not compared" in seqmill.succeeds("verify", output).err


NUMBERS = [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\1\0", b"\7\0\0\0"]


@pytest.mark.parametrize("name", ["sequences-00000.arrow", "lengths.arrow"])
def test_offsets_that_lead_out_of_a_file_are_refused(output, seqmill, name):
    """Numbers anywhere in Arrow files become others, and all hashes are made to fit."""
    folder = output / "store/train"
    whole, sealed = (folder / name).read_bytes(), (folder / "manifest.json").read_bytes()
    rng = random.Random(SEED)
    refused = 0
    for _ in range(60):
        content = bytearray(whole)
        place = rng.randrange(0, len(content) - 8, 4)
        content[place : place + 4] = rng.choice(NUMBERS)
        (folder / name).write_bytes(content)
        reseal(folder, name)
        ended = seqmill("verify", output)
        assert "Traceback" not in ended.err
        refused += ended.code
        # Where it is right nevertheless, nobody reads those bytes (padding, a second copy of the schema).
    assert refused > 20
    (folder / name).write_bytes(whole)
    (folder / "manifest.json").write_bytes(sealed)
    seqmill.succeeds("verify", output)
