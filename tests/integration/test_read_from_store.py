"""Batches gathered from the store are those of the shards, bit for bit, whatever the options."""

import multiprocessing
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from seqmill_runs import write_config, write_jsonl

from seqmill.trainer import batches, open_corpus
from seqmill.trainer.source import open_source
from seqmill.transforms.storage.errors import SeqmillError, UsageError

DATA = {
    "data": {"type": "floats"},
    "speaker": {"type": "ints"},
    "text": {"type": "bytes"},
    "classes": {"type": "ints"},
}
OPTIONS = st.fixed_dictionaries(
    {
        "seq_ordering": st.sampled_from(
            ["default", "reverse", "random", "sorted", "sorted_reverse", "laplace:3", "laplace:.5"]
        ),
        "batch_size": st.sampled_from([4, 30, 400, {"data": 12, "text": 40}]),
        "partition_epoch": st.integers(1, 3),
        "length_key": st.sampled_from(["data", "classes"]),
        "seed": st.integers(0, 99),
    },
    optional={
        "max_seqs": st.integers(1, 6),
        "max_seq_length": st.just({"data": 10}),
        "chunking": st.sampled_from(
            [{"data": "5:2", "classes": "5:2"}, {"data": "4:1", "classes": "4:1", "speaker": "4:1"}]
        ),
        "min_chunk_size": st.integers(0, 2),
        "seq_tag": st.just("name"),
        "packed": st.just(True),
    },
)
DTYPES = st.sampled_from(["float32", "float16", "bfloat16"])
READERS = st.fixed_dictionaries(
    {
        "reader": st.sampled_from([(0, 1), (1, 2), (2, 3), (6, 7)]),
        "by": st.sampled_from(["rows", "batches"]),
        "first_batch": st.integers(0, 2),
    }
)


def records(num_seqs, seed=0, longest=12):
    """Floats [T, 3] and labels of one length, a number for the whole sequence, and text."""
    rng = np.random.default_rng(seed)
    return [
        {
            "name": f"säquence {number}",
            "data": rng.standard_normal((length, 3)).astype("f4").tolist(),
            "speaker": int(rng.integers(0, 9)),
            "text": "wörd " * int(rng.integers(1, 4)),
            "classes": rng.integers(0, 50, length).tolist(),
        }
        for number, length in enumerate(rng.integers(1, longest + 1, num_seqs).tolist())
    ]


def preprocess(seqmill, folder, content, dtype="float32", **options):
    """Writes epochs; returns the corpus as read from shards and as read from the store."""
    data = {**DATA, "data": {"type": "floats", "dtype": dtype}}
    write_jsonl(folder / "a.jsonl", content)
    train = {"format": "jsonl", "files": ["a.jsonl"]}
    config = write_config(folder, data, {"train": train}, max_rejected=1.0, **options)
    seqmill.succeeds("preprocess", config)
    return opened(folder)


def opened(folder):
    path = folder / "out/epochs/train"
    return open_corpus(path), open_corpus(path, read_from="store")


def assert_same_batch(found, expected):
    assert found.batch_index == expected.batch_index
    assert list(found.seq_tags) == list(expected.seq_tags)
    np.testing.assert_array_equal(found.seq_index, expected.seq_index)
    np.testing.assert_array_equal(found.chunk_start, expected.chunk_start)
    assert list(found.arrays) == list(expected.arrays)
    for key, array in expected.arrays.items():
        assert_same_bits(found.arrays[key], array)
        np.testing.assert_array_equal(found.lengths[key], expected.lengths[key])


def assert_same_bits(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    options=OPTIONS, readers=READERS, dtype=DTYPES, num_seqs=st.integers(10, 40), seed=st.integers(0, 1000)
)
def test_the_store_gives_the_same_batches_as_the_shards(
    tmp_path_factory, seqmill, options, readers, dtype, num_seqs, seed
):
    content = records(num_seqs, seed)
    kept = [one for one in content if len(one["classes"]) <= 10 or "max_seq_length" not in options]
    assume(len(kept) >= options["partition_epoch"])
    num_epochs = options["partition_epoch"] + 1
    shards, store = preprocess(
        seqmill, tmp_path_factory.mktemp("run"), content, dtype, num_epochs=num_epochs, **options
    )
    if "packed" in options:
        readers = {**readers, "by": "batches"}
    for epoch in range(1, shards.num_epochs + 1):
        written, gathered = open_source(shards, epoch), open_source(store, epoch)
        for index in range(shards.epoch(epoch).num_batches):
            assert_same_batch(gathered.batch(index), written.batch(index))
        assert_same_columns(shards, store, epoch, readers)
        written.close(), gathered.close()


def assert_same_columns(shards, store, epoch, readers):
    first = min(readers["first_batch"], shards.epoch(epoch).num_batches)
    arguments = {**readers, "first_batch": first, "tags": True}
    expected, found = batches(shards, epoch, **arguments), batches(store, epoch, **arguments)
    assert len(found) == len(expected)
    for batch, wanted in zip(found, expected, strict=True):
        assert found.batches_done == expected.batches_done
        assert list(batch) == list(wanted)
        assert batch["seq_tag"] == wanted["seq_tag"]
        for column in batch.keys() - {"seq_tag"}:
            assert_same_bits(batch[column], wanted[column])
        assert all(batch[key].flags.aligned and not batch[key].flags.writeable for key in DATA)


@pytest.fixture(scope="module")
def large(tmp_path_factory, silent_seqmill):
    """Batches of more than a window each, in several record batches of the store."""
    folder = tmp_path_factory.mktemp("large")
    return folder, *preprocess(
        silent_seqmill, folder, records(300, longest=400), batch_size=120_000, seq_ordering="random"
    )


def test_large_batches_are_the_same_in_any_order_and_stay_when_kept(large):
    _, shards, store = large
    written, gathered = open_source(shards, 1), open_source(store, 1)
    order = [*range(shards.epoch(1).num_batches)]
    kept = [gathered.arrays(index) for index in [*order, *reversed(order), *order]]
    for found, index in zip(kept, [*order, *reversed(order), *order], strict=True):
        for array, expected in zip(found, written.arrays(index), strict=True):
            assert_same_bits(array, expected)
            assert array.ctypes.data % 64 == 0 or array.ndim == 1
    assert len({array.ctypes.data for arrays in kept for array in arrays}) == sum(map(len, kept))
    with pytest.raises(IndexError):
        gathered.arrays(len(order))


def first_batch(corpus):
    return next(batches(corpus, 1))["data"].tobytes()


def test_a_corpus_travels_to_other_processes(large):
    _, shards, store = large
    expected = next(batches(shards, 1))["data"].tobytes()
    assert first_batch(store) == expected
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(first_batch, (store,)) == expected
    travelled = pickle.loads(pickle.dumps(store))
    for batch, expected in zip(batches(travelled, 1), batches(shards, 1), strict=True):
        assert_same_bits(batch["data"], expected["data"])


def test_shards_are_not_needed_but_the_store_is_and_unchanged(tmp_path, large):
    folder, _, _ = large
    shutil.copytree(folder / "out", tmp_path / "out")
    for path in (tmp_path / "out/epochs/train").glob("epoch-*"):
        shutil.rmtree(path)
    _, store = opened(tmp_path)
    assert store.is_complete(1)
    assert len(list(batches(store, 1))) == store.epoch(1).num_batches

    with pytest.raises(UsageError, match=r'read_from=.cloud.: expected "shards" or "store"'):
        open_corpus(tmp_path / "out/epochs/train", read_from="cloud")
    with pytest.raises(UsageError, match="no epoch 2"):
        batches(store, 2)

    shutil.copytree(folder / "out", tmp_path / "damaged")
    path = tmp_path / "damaged/store/train/sequences-00000.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    damaged = open_corpus(tmp_path / "damaged/epochs/train", read_from="store")
    with pytest.raises(SeqmillError, match=r"sequences-00000\.arrow: its xxh128 is"):
        batches(damaged, 1)
    path.unlink()
    with pytest.raises(SeqmillError, match=r"sequences-00000\.arrow: .* is not there"):
        batches(damaged, 1)
    shutil.rmtree(tmp_path / "damaged/store")
    with pytest.raises(SeqmillError, match="no sequence store"):
        open_corpus(tmp_path / "damaged/epochs/train", read_from="store")


def test_epochs_of_another_store_are_refused(tmp_path, seqmill):
    preprocess(seqmill, tmp_path, records(12), max_seqs=4)
    epochs = tmp_path / "out/epochs/train"
    shutil.copytree(epochs, tmp_path / "before")
    preprocess(seqmill, tmp_path, records(12, seed=1), max_seqs=4)
    shutil.rmtree(epochs)
    shutil.move(tmp_path / "before", epochs)
    with pytest.raises(SeqmillError, match="the store has changed since"):
        open_corpus(epochs, read_from="store")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_small_elements_are_reported_planned_and_read_as_float32(tmp_path, seqmill, dtype):
    content = records(20)
    content[3]["data"][0] = [1e38, 1.5e38, 0.0]  # for bfloat16 not too large
    shards, store = preprocess(seqmill, tmp_path, content, dtype, max_seqs=4, seq_tag="name")
    rejected = {"data: too large for float16": 1} if dtype == "float16" else {}
    assert shards.manifest.counts.rejected == rejected
    error = shards.manifest.counts.largest_error["data"]
    ended = seqmill.succeeds("plan", tmp_path / "config.toml")
    assert f"data: {dtype}, at most {error:.2g} from float32" in ended.out
    seqmill.succeeds("verify", tmp_path / "out")
    assert "float32" in seqmill.succeeds("show", tmp_path / "out").out
    found = 0.0
    by_tag = {record["name"]: np.array(record["data"], "f4") for record in content}
    for batch in batches(store, 1, tags=True):
        assert batch["data"].dtype == np.float32
        for tag, frames, length in zip(batch["seq_tag"], batch["data"], batch["data_lengths"], strict=True):
            found = max(found, float(np.abs(frames[:length] - by_tag[tag]).max()))
    assert found == error > 0
    assert store.manifest.data_keys["data"].frame_bytes == 6
