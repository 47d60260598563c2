"""``only_tags`` and ``not_tags``: which sequences of a corpus are read."""

import gzip

import pytest
from other_tools import NUMBERS, UTTERANCES, epochs_of, jsonl_of_numbers, manifest_of
from seqmill_runs import read_epochs, write_config

from seqmill import read_manifest
from seqmill.transforms.store.sequence_store import Store

TAGS = [u.tag for u in UTTERANCES]


def store_tags(folder):
    store = Store(f"{folder}/out-0/store/train")
    return [store.tag(row).decode() for row in range(store.num_seqs)]


@pytest.mark.parametrize(
    ("lists", "kept", "dropped"),
    [
        ({"only_tags": TAGS[1:4]}, TAGS[1:4], {"not in only_tags": 3}),
        ({"not_tags": TAGS[:2]}, TAGS[2:], {"in not_tags": 2}),
        (
            {"only_tags": [*TAGS[:3], "none"], "not_tags": TAGS[2:3]},
            TAGS[:2],
            {"not in only_tags": 3, "in not_tags": 1},
        ),
    ],
)
def test_sequences_are_chosen_and_counted(tmp_path, seqmill, lists, kept, dropped):
    corpus = jsonl_of_numbers(tmp_path)
    for number, (option, tags) in enumerate(lists.items()):
        content = "".join(f"{tag}\n" for tag in tags).encode()
        path = tmp_path / f"{option}.txt"
        path.write_bytes(gzip.compress(content) if number else content)
        corpus[option] = path.name
    found = epochs_of(seqmill, tmp_path, NUMBERS, corpus)
    assert {tag for tag, _, _ in found} == {*kept}
    assert len(found) == 2 * len(kept)
    counts = manifest_of(tmp_path)["counts"]
    assert (counts["read"], counts["kept"], counts["dropped"]) == (6, len(kept), dropped)
    # A changed list is another corpus.
    config = tmp_path / "config-0.toml"
    assert "ingest train: up to date" in seqmill.succeeds("ingest", config).err
    for option in lists:
        (tmp_path / f"{option}.txt").write_text(f"{TAGS[4]}\n")
    again = seqmill("ingest", config)
    if lists.keys() == {"only_tags"}:
        assert "6 sequences read, 0 rejected" in again.err
        assert store_tags(tmp_path) == [TAGS[4]]
    assert "ingest train: up to date" not in again.err


def test_a_part_is_the_same_in_every_epoch_and_needs_no_new_ingest(tmp_path, seqmill):
    corpus = jsonl_of_numbers(tmp_path)
    (tmp_path / "not.txt").write_text(f"{TAGS[0]}\n")
    corpora = {"train": {**corpus, "not_tags": "not.txt"}, "dev": corpus}
    config = write_config(
        tmp_path, NUMBERS, corpora, max_seqs=2, num_epochs=3, seq_ordering="random", num_seqs=3
    )
    seqmill.succeeds("preprocess", config)
    epochs = [
        sorted(tag for batch in epoch for tag in batch.seq_tags) for epoch in read_epochs(tmp_path / "out")
    ]
    assert len(epochs) == 3 and epochs[0] == epochs[1] == epochs[2]
    manifest = read_manifest(f"{tmp_path}/out/epochs/train")
    assert manifest.counts.dropped == {"in not_tags": 1, "num_seqs": 2}
    assert manifest.options["num_seqs"] == 3
    assert "num_seqs" not in read_manifest(f"{tmp_path}/out/epochs/dev").options
    ended = seqmill.succeeds("preprocess", config, "--num_seqs=4")
    assert "ingest train: up to date" in ended.err and "num_seqs was 3, is 4" in ended.err
    (more, *_) = (
        [tag for batch in epoch for tag in batch.seq_tags] for epoch in read_epochs(tmp_path / "out")
    )
    assert {*epochs[0]} < {*more}
    seqmill.succeeds("verify", tmp_path / "out")
    seqmill("plan", config, "--num_seqs=-1").names("num_seqs", "-1")


def test_labels_are_counted_over_the_chosen_alone(tmp_path, seqmill):
    corpus = jsonl_of_numbers(tmp_path)
    (tmp_path / "one.txt").write_text(f"{UTTERANCES[0].tag}\n")
    data = {"text": {"type": "chars"}}
    epochs_of(seqmill, tmp_path, data, {**corpus, "only_tags": "one.txt"})
    labels = (tmp_path / "out-0/vocab/text.txt").read_text().splitlines()
    assert set(labels) == {"<pad>", "<unk>", *UTTERANCES[0].text}


def test_wrong_lists(tmp_path, seqmill):
    corpus = jsonl_of_numbers(tmp_path)
    config = write_config(tmp_path, NUMBERS, {"train": {**corpus, "only_tags": "none.txt"}})
    seqmill("ingest", config).names("corpus.train.only_tags", "none.txt: no such file")
    (tmp_path / "empty.txt").write_text("\n")
    config = write_config(tmp_path, NUMBERS, {"train": {**corpus, "not_tags": "empty.txt"}})
    seqmill("ingest", config).names("empty.txt: expected one tag a line, found none")
    del corpus["seq_tag"]
    config = write_config(tmp_path, NUMBERS, {"train": {**corpus, "not_tags": "empty.txt"}})
    seqmill("ingest", config).names("not_tags needs tags in the data: seq_tag = FIELD")
