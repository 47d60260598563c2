"""Whole runs: what is written is exactly the raw input, as planned, whatever the options and the runner."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from seqmill_runs import mtimes, read_epochs, sequences, tree, write_config, write_jsonl

from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.features.vocab import read_vocab

DATA = {"data": {"type": "floats"}, "classes": {"type": "ints"}}


def numbers(num_seqs, longest=12, seed=0, num_features=3):
    """Random records: ``data`` [T, num_features] and ``classes`` of another length."""
    rng = np.random.default_rng(seed)
    return [
        {
            "data": rng.standard_normal((int(n), num_features)).astype("f4").tolist(),
            "classes": rng.integers(0, 50, int(m)).tolist(),
        }
        for n, m in rng.integers(1, longest + 1, (num_seqs, 2))
    ]


def corpus(folder, records, name="a.jsonl", **options):
    write_jsonl(folder / name, records)
    return {"train": {"format": "jsonl", "files": [name], **options}}


def check_exactly_what_was_planned(seqmill, config, output, *flags):
    """Runs plan and preprocess; the figures, the batches and the files must agree. Returns the manifest."""
    planned = json.loads(seqmill.succeeds("plan", config, f"--output={output}", "--json", *flags).out)
    seqmill.succeeds("preprocess", config, f"--output={output}", *flags)
    seqmill.succeeds("verify", output)
    for report in planned:
        folder = Path(output, "epochs", report["corpus"])
        written = manifest.read(str(folder))
        counts = written.counts
        assert (report["read"], report["kept"]) == (counts.read, counts.kept)
        assert (report["dropped"], report["rejected"]) == (counts.dropped, counts.rejected)
        assert len(report["epochs"]) == len(written.epochs)
        for figures, entry, batches in zip(
            report["epochs"], written.epochs, read_epochs(output, report["corpus"]), strict=True
        ):
            for name in ("epoch", "num_batches", "num_seqs", "num_chunks", "num_frames", "padded_frames"):
                assert figures[name] == getattr(entry, name), name
            check_figures_against_batches(figures, batches)
            shards = epoch_manifest.read(str(folder), written, entry).shards
            assert figures["num_shards"] == len(shards)
            sizes = [(folder / shard.file).stat().st_size for shard in shards]
            assert figures["bytes"] == sum(shard.bytes for shard in shards) == sum(sizes)
    return written


def check_figures_against_batches(figures, batches):
    sizes = [len(batch.seq_tags) for batch in batches]
    assert figures["num_batches"] == len(batches)
    assert figures["num_chunks"] == sum(sizes)
    assert figures["num_seqs"] == len({int(i) for batch in batches for i in batch.seq_index})
    assert (figures["smallest_batch"], figures["largest_batch"]) == (min(sizes), max(sizes))
    assert figures["mean_batch"] == pytest.approx(np.mean(sizes))
    shapes = {tuple(array.shape for array in batch.arrays.values()) for batch in batches}
    assert figures["num_shapes"] == len(shapes)
    for key in figures["num_frames"]:
        true = sum(int(batch.lengths[key].sum()) for batch in batches)
        padded = sum(batch.arrays[key].shape[0] * batch.arrays[key].shape[1] for batch in batches)
        assert (figures["num_frames"][key], figures["padded_frames"][key]) == (true, padded)
        assert figures["padding"][key] == pytest.approx(1 - true / padded)
    assert [batch.batch_index for batch in batches] == [*range(len(batches))]


def expected_chunks(record, chunking):
    """{first frame: {key: frames}} of one record, written anew from the design's words; None if rejected."""
    per_key = {}
    for key, frames in record.items():
        if key not in chunking:
            continue
        size, step, least = chunking[key]
        starts = [s for s in range(0, len(frames), step) if s == 0 or len(frames) - s > least]
        per_key[key] = [(s, frames[s : s + size]) for s in starts]
    lone = {key for key in per_key if len(record[key]) == 1}
    counts = {len(chunks) for key, chunks in per_key.items() if key not in lone}
    if len(counts) > 1:
        return None
    number = next(iter(counts), 1)
    return [
        {
            key: (0, frames) if key not in per_key or key in lone else per_key[key][i]
            for key, frames in record.items()
        }
        for i in range(number)
    ]


OPTIONS = st.fixed_dictionaries(
    {
        "seq_ordering": st.sampled_from(
            [
                "default",
                "reverse",
                "random",
                "random:7",
                "sorted",
                "sorted_reverse",
                "laplace:3",
                "laplace:.5",
            ]
        ),
        "batch_size": st.one_of(
            st.integers(1, 60),
            st.fixed_dictionaries({"data": st.integers(1, 40), "classes": st.integers(1, 40)}),
            st.fixed_dictionaries({"classes": st.integers(5, 30)}),
        ),
        "partition_epoch": st.integers(1, 3),
        "num_shards": st.sampled_from([1, 2, 7]),
        "length_key": st.sampled_from(["data", "classes"]),
        "seed": st.integers(0, 99),
    },
    optional={
        "max_seqs": st.integers(1, 6),
        "max_seq_length": st.one_of(st.integers(5, 12), st.just({"classes": 8})),
        "min_seq_length": st.just({"data": 2}),
        "chunking": st.sampled_from(["4:2", "5", "3:4", {"data": "4:3"}]),
        "min_chunk_size": st.integers(0, 2),
    },
)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(options=OPTIONS, num_seqs=st.integers(10, 40), seed=st.integers(0, 1000))
def test_every_sequence_exactly_once_a_pass_within_the_limits_and_as_planned(
    tmp_path_factory, seqmill, options, num_seqs, seed
):
    folder = tmp_path_factory.mktemp("run")
    records = numbers(num_seqs, seed=seed)
    parts = options["partition_epoch"]
    config = write_config(
        folder, DATA, corpus(folder, records), num_epochs=2 * parts, max_rejected=1.0, **options
    )
    kept = kept_entries(records, options)
    num_kept = len({tag for tag, *_ in kept})
    assume(num_kept >= parts)
    written = check_exactly_what_was_planned(seqmill, config, folder / "out")
    assert written.counts.kept == num_kept
    epochs = read_epochs(folder / "out")
    for first in range(0, len(epochs), parts):
        batches = [batch for epoch in epochs[first : first + parts] for batch in epoch]
        assert Counter(written_entries(batches)) == Counter(kept)
    for batch in itertools.chain(*epochs):
        assert_within_limits(batch, options)


def per_key(value):
    return value if isinstance(value, dict) else {} if value is None else dict.fromkeys(DATA, value)


def kept_entries(records, options):
    """What must be in the batches of one pass, as hashable (tag, arrays) entries."""
    chunking = {}
    for key, text in per_key(options.get("chunking")).items():
        size, _, step = text.partition(":")
        chunking[key] = (int(size), int(step or size), per_key(options.get("min_chunk_size")).get(key, 0))
    entries = []
    for line, record in enumerate(records, 1):
        lengths = {key: len(value) for key, value in record.items()}
        fits = all(lengths[key] <= most for key, most in per_key(options.get("max_seq_length")).items())
        fits &= all(lengths[key] >= least for key, least in per_key(options.get("min_seq_length")).items())
        for chunk in expected_chunks(record, chunking) or [] if fits else []:
            start = chunk[options["length_key"]][0]
            arrays = [np.array(chunk["data"][1], "f4"), np.array(chunk["classes"][1], "i4")]
            entries.append((f"a.jsonl:{line}".encode(), start, *(array.tobytes() for array in arrays)))
    return entries


def written_entries(batches):
    columns = [sequences(batches, key) for key in DATA]
    for (tag, start, data), (_, _, classes) in zip(*columns, strict=True):
        yield tag, start, data.tobytes(), classes.tobytes()


def assert_within_limits(batch, options):
    num_seqs = len(batch.seq_tags)
    assert num_seqs <= options.get("max_seqs", num_seqs)
    for key, limit in per_key(options["batch_size"]).items():
        assert num_seqs == 1 or num_seqs * batch.lengths[key].max() <= limit


# The same bytes, however they are made.


def test_any_number_of_shards_gives_the_same_batches(tmp_path, seqmill):
    config = write_config(
        tmp_path, DATA, corpus(tmp_path, numbers(60)), seq_ordering="laplace:4", batch_size=50, num_epochs=2
    )
    contents = []
    for num_shards in (1, 2, 7, 1000):
        output = tmp_path / f"out-{num_shards}"
        seqmill.succeeds("preprocess", config, f"--num_shards={num_shards}", f"--output={output}")
        folders = sorted((output / "epochs/train").glob("epoch-*"))
        shards = [sorted(folder.glob("*.tfrecord")) for folder in folders]
        contents.append([b"".join(path.read_bytes() for path in paths) for paths in shards])
        num_batches = manifest.read(f"{output}/epochs/train").epochs[0].num_batches
        assert len(shards[0]) == min(num_shards, num_batches)
    assert contents == [contents[0]] * 4


def test_worker_processes_memory_and_beam_give_the_same_bytes(tmp_path, seqmill, monkeypatch):
    monkeypatch.setattr("seqmill.transforms.store.corpus_splits.SPLIT_BYTES", 2000)
    data = {**DATA, "text": {"type": "words", "eos": True}}
    records = [{**record, "text": "a b c"[: 1 + i % 5]} for i, record in enumerate(numbers(150))]
    records[77] = "bad"
    corpora = corpus(tmp_path, records)
    config = write_config(
        tmp_path,
        data,
        {**corpora, "dev": corpora["train"], "test": corpora["train"]},
        seq_ordering="random",
        num_epochs=3,
        num_shards=2,
        max_rejected=0.1,
    )
    modes = {
        "memory": ["--direct_running_mode=in_memory"],
        "processes": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
        "Beam": ["--runner=FnApiRunner"],
        "Beam's threads": ["--direct_running_mode=multi_threading", "--direct_num_workers=3"],
    }
    for name, flags in modes.items():
        seqmill.succeeds("preprocess", config, f"--output={tmp_path}/{name}", *flags)
    trees = {name: tree(tmp_path / name) for name in modes}
    assert len([name for name in trees["memory"] if name.startswith("store/train/sequences")]) > 5
    assert all(found == trees["memory"] for found in trees.values())


def test_the_same_corpus_in_one_file_or_many_gives_the_same_sequences(tmp_path, seqmill):
    records = [{**record, "id": f"utt {i}"} for i, record in enumerate(numbers(40))]
    write_jsonl(tmp_path / "all.jsonl", records)
    for number in range(4):
        write_jsonl(tmp_path / f"part-{number}.jsonl", records[10 * number : 10 * number + 10])
    shards = []
    for files in (["all.jsonl"], ["part-*.jsonl"]):
        corpora = {"train": {"format": "jsonl", "files": files, "seq_tag": "id"}}
        config = write_config(tmp_path, DATA, corpora, seq_ordering="random", output=f"out-{len(shards)}")
        seqmill.succeeds("preprocess", config)
        shards.append([p.read_bytes() for p in (tmp_path / f"out-{len(shards)}/epochs").rglob("*.tfrecord")])
    assert shards[0] == shards[1]


def test_a_corpus_that_fails_leaves_the_others_whole(tmp_path, seqmill):
    """All corpora are one job; what a rerun finds is done is not done again."""
    sources = {"train": numbers(20), "dev": ["bad", *numbers(3)], "test": numbers(9, seed=2)}
    corpora = {}
    for name, records in sources.items():
        corpora[name] = {"format": "jsonl", "files": [write_jsonl(tmp_path / f"{name}.jsonl", records).name]}
    config = write_config(tmp_path, DATA, corpora)
    ended = seqmill("preprocess", config)
    ended.names("corpus dev: 1 of 4 sequences rejected", "ingest train, dev, test: 3 tasks")
    assert "train:" not in ended.err
    before = mtimes(tmp_path / "out/store")
    assert {name for name in before if name.endswith("manifest.json")} == {
        "train/manifest.json",
        "test/manifest.json",
    }
    write_jsonl(tmp_path / "dev.jsonl", numbers(3))
    said = seqmill.succeeds("preprocess", config).err
    assert "ingest train: up to date\n" in said
    assert "ingest dev: done in " in said
    assert "preprocess train, dev, test: done in " in said
    anew = changed(before, mtimes(tmp_path / "out/store"))
    assert all(name.startswith("dev/") for name in anew)


# Reruns do what is missing or has changed, and nothing else.


def changed(before, after):
    return {name for name in after if before.get(name) != after[name]}


@pytest.fixture
def three_files(tmp_path):
    for number in range(3):
        write_jsonl(tmp_path / f"part-{number}.jsonl", numbers(20, seed=number))
    corpora = {"train": {"format": "jsonl", "files": ["part-*.jsonl"]}}
    return write_config(tmp_path, DATA, corpora, seq_ordering="random", num_epochs=2)


def test_rerun_is_up_to_date_and_touches_no_file(tmp_path, seqmill, three_files):
    seqmill.succeeds("preprocess", three_files)
    before = mtimes(tmp_path / "out")
    for command in ("preprocess", "ingest"):
        assert "ingest train: up to date" in seqmill.succeeds(command, three_files).err
    assert seqmill.succeeds("plan", three_files).err == ""
    assert "preprocess train: up to date" in seqmill.succeeds("preprocess", three_files).err
    assert mtimes(tmp_path / "out") == before


def test_a_changed_option_makes_new_epochs_from_the_same_store(tmp_path, seqmill, three_files):
    seqmill.succeeds("preprocess", three_files, "--num_shards=3")
    before = mtimes(tmp_path / "out")
    ended = seqmill.succeeds("preprocess", three_files, "--seed=2", "--num_shards=2")
    assert "ingest train: up to date" in ended.err
    assert all(name.startswith("epochs/") for name in changed(before, mtimes(tmp_path / "out")))
    seqmill.succeeds("preprocess", three_files, "--seed=2", "--num_shards=2", f"--output={tmp_path}/fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_a_changed_input_file_makes_only_its_store_file_anew(tmp_path, seqmill, three_files):
    seqmill.succeeds("preprocess", three_files)
    before = mtimes(tmp_path / "out/store")
    write_jsonl(tmp_path / "part-1.jsonl", numbers(25, seed=9))
    seqmill.succeeds("preprocess", three_files)
    anew = changed(before, mtimes(tmp_path / "out/store"))
    assert {name for name in anew if "sequences" in name} == {"train/sequences-00001.arrow"}
    assert manifest.read(f"{tmp_path}/out/epochs/train").counts.kept == 65
    seqmill.succeeds("preprocess", three_files, f"--output={tmp_path}/fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_a_removed_input_file_leaves_nothing_behind(tmp_path, seqmill, three_files):
    seqmill.succeeds("preprocess", three_files)
    (tmp_path / "part-2.jsonl").unlink()
    seqmill.succeeds("preprocess", three_files)
    seqmill.succeeds("preprocess", three_files, f"--output={tmp_path}/fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_more_epochs_keep_those_that_are_there_and_fewer_remove_the_rest(tmp_path, seqmill, three_files):
    seqmill.succeeds("preprocess", three_files)
    first = tree(tmp_path / "out")
    before = mtimes(tmp_path / "out")
    assert "2 of 5 shards are there" in seqmill.succeeds("preprocess", three_files, "--num_epochs=5").err
    touched = changed(before, mtimes(tmp_path / "out")) & before.keys()
    assert touched - {name for name in touched if "/vocab/" in name} == {
        "epochs/train/manifest.json",
        "epochs/train/receipts/run.json",
    }
    seqmill.succeeds("preprocess", three_files)
    assert tree(tmp_path / "out") == first


def test_a_changed_vocabulary_file_is_noticed(tmp_path, seqmill):
    (tmp_path / "labels.txt").write_text("<pad>\n<unk>\na\nb\n")
    config = write_config(
        tmp_path,
        {"x": {"type": "chars", "vocab": "labels.txt"}},
        corpus(tmp_path, [{"x": "ab"}, {"x": "ba"}]),
    )
    seqmill.succeeds("preprocess", config)
    (tmp_path / "labels.txt").write_text("<pad>\n<unk>\nb\na\n")
    seqmill.succeeds("preprocess", config)
    (batches,) = read_epochs(tmp_path / "out")
    assert batches[0].arrays["x"].tolist() == [[3, 2], [2, 3]]


# Places and corpora.


def test_output_and_input_on_another_file_system(seqmill, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    name = f"seqmill-{random.random()}"
    write_jsonl(tmp_path / "a.jsonl", records := numbers(20))
    memory.pipe_file(f"/{name}/a.jsonl", (tmp_path / "a.jsonl").read_bytes())
    config = write_config(
        tmp_path,
        DATA,
        {"train": {"format": "jsonl", "files": [f"memory://{name}/*.jsonl"]}},
        output=f"memory://{name}/out",
        num_shards=2,
    )
    seqmill.succeeds("preprocess", config)
    seqmill.succeeds("verify", f"memory://{name}/out")
    assert "train batch 0" in seqmill.succeeds("show", f"memory://{name}/out").out
    assert "preprocess train: up to date" in seqmill.succeeds("preprocess", config).err
    (batches,) = read_epochs(f"memory://{name}/out")
    found = [array.tolist() for _, _, array in sequences(batches, "classes")]
    assert found == [record["classes"] for record in records]
    memory.rm(f"/{name}", recursive=True)


def test_other_corpora_are_written_once_in_default_order_unless_they_say_otherwise(tmp_path, seqmill):
    for name in ("train", "dev", "test"):
        write_jsonl(tmp_path / f"{name}.jsonl", numbers(30, seed=len(name)))
    corpora = {name: {"format": "jsonl", "files": [f"{name}.jsonl"]} for name in ("train", "dev", "test")}
    corpora["test"]["seq_ordering"] = "sorted"
    config = write_config(
        tmp_path,
        DATA,
        corpora,
        seq_ordering="random",
        chunking="5",
        max_rejected=1.0,
        num_epochs=4,
        distinct_epochs=2,
    )
    check_exactly_what_was_planned(seqmill, config, tmp_path / "out")
    assert [len(read_epochs(tmp_path / "out", name)) for name in corpora] == [2, 1, 1]
    (dev,), (test,) = read_epochs(tmp_path / "out", "dev"), read_epochs(tmp_path / "out", "test")
    assert [int(i) for batch in dev for i in batch.seq_index] == [*range(30)]
    lengths = [int(n) for batch in test for n in batch.lengths["data"]]
    assert lengths == sorted(lengths)


def test_labels_are_counted_over_train_and_used_for_all(tmp_path, seqmill):
    write_jsonl(tmp_path / "train.jsonl", [{"x": "b b a c"}, {"x": "b a d"}])
    write_jsonl(tmp_path / "dev.jsonl", [{"x": "a z"}])
    corpora = {name: {"format": "jsonl", "files": [f"{name}.jsonl"]} for name in ("train", "dev")}
    config = write_config(tmp_path, {"x": {"type": "words", "bos": True, "eos": True}}, corpora)
    seqmill.succeeds("preprocess", config)
    labels = ("<pad>", "<unk>", "<s>", "</s>", "b", "a", "c", "d")
    for folder in ("vocab", "epochs/train/vocab", "epochs/dev/vocab", "store/dev/vocab"):
        assert read_vocab(f"{tmp_path}/out/{folder}/x.txt").labels == labels
    (dev,) = read_epochs(tmp_path / "out", "dev")
    assert dev[0].arrays["x"].tolist() == [[2, 5, 1, 3]]
    assert "<s> a <unk> </s>" in seqmill.succeeds("show", tmp_path / "out/epochs/dev").out


def test_a_plan_of_the_same_size_in_a_bucket_is_not_taken_for_that_of_other_options(tmp_path, seqmill):
    write_jsonl(tmp_path / "a.jsonl", [{"x": [1, 2, 3]}] * 20)
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}
    output = "memory://plans_of_one_size/out"
    config = write_config(tmp_path, {"x": {"type": "ints"}}, corpora, output=output, seq_ordering="random")
    for seed in (1, 2):
        seqmill.succeeds("preprocess", config, f"--seed={seed}", "--direct_running_mode=in_memory")
    assert "right: epochs 1" in seqmill.succeeds("verify", output).err
