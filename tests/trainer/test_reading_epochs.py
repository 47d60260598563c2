import subprocess
import sys
from pathlib import Path

import helper_processes
import numpy as np
import orjson
import pytest
import tensorflow as tf
from epoch_folders import SPECS, regression_epochs, write_corpus
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seqmill.trainer import epochs
from seqmill.trainer.buffers import BufferPool
from seqmill.trainer.corpus import open_corpus
from seqmill.trainer.numpy_batches import batches
from seqmill.trainer.stored_epoch import StoredEpoch
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.manifest_file import seal

EPOCH = "epoch-0001/manifest.json"


@pytest.fixture
def folder(tmp_path):
    return write_corpus(tmp_path / "train", regression_epochs([5, 3]), SPECS)


def edit_manifest(folder, change, name="manifest.json"):
    path = Path(folder, name)
    content = orjson.loads(path.read_bytes())
    change(content)
    files.write_json(str(path), seal(content))


def shard_file(folder):
    return Path(folder, "epoch-0001/batches-00001-of-00003.tfrecord")


def test_batches_come_in_order_over_all_shards(folder):
    expected = regression_epochs([5, 3])[0]
    data = epochs.dataset(open_corpus(folder), 1, masks=True)
    assert int(data.cardinality()) == 5
    found = list(data.as_numpy_iterator())
    assert len(found) == 5
    for batch, want in zip(found, expected, strict=True):
        for key in SPECS:
            np.testing.assert_array_equal(batch[key], want.arrays[key])
            assert batch[key].dtype == want.arrays[key].dtype
            np.testing.assert_array_equal(batch[f"{key}_lengths"], want.lengths[key])
            assert batch[f"{key}_mask"].sum(1).tolist() == want.lengths[key].tolist()


def test_static_shapes_and_dtypes(folder):
    spec = epochs.dataset(open_corpus(folder), 1).element_spec
    assert spec["data"] == tf.TensorSpec((None, None, 3), tf.float32)
    assert spec["classes"] == tf.TensorSpec((None, None), tf.int32)
    assert spec["data_lengths"] == tf.TensorSpec((None,), tf.int32)
    assert "data_mask" not in spec


def test_batches_kept_by_the_reader_are_not_overwritten(folder):
    corpus = open_corpus(folder)
    kept = list(epochs.dataset(corpus, 1))
    list(epochs.dataset(corpus, 1))
    for batch, want in zip(kept, regression_epochs([5, 3])[0], strict=True):
        np.testing.assert_array_equal(batch["data"], want.arrays["data"])


@pytest.mark.parametrize("by", ["rows", "batches"])
def test_readers_share_an_epoch_as_numpy_readers_do(folder, by):
    corpus = open_corpus(folder)
    for number in range(3):
        share = {"reader": (number, 3), "by": by, "first_batch": 1}
        data = epochs.dataset(corpus, 1, **share)
        wanted = list(batches(corpus, 1, **share))
        assert int(data.cardinality()) == len(wanted)
        for batch, want in zip(data.as_numpy_iterator(), wanted, strict=True):
            for name, column in want.items():
                np.testing.assert_array_equal(batch[name], column)


def test_one_batch_with_its_tags(folder):
    corpus = open_corpus(folder)
    batch = StoredEpoch(folder, corpus.shards(1), SPECS).batch(3)
    assert batch.batch_index == 3
    assert batch.seq_tags[0] == b"e1-b3-s0"


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(SeqmillError, match=r"no manifest\.json"):
        open_corpus(str(tmp_path))


def test_an_unknown_format_is_refused(folder):
    edit_manifest(folder, lambda content: content.update(format="seqmill.batches/9"))
    with pytest.raises(SeqmillError, match=r"seqmill\.batches/9"):
        open_corpus(folder)


def test_an_epoch_that_is_not_stored_is_refused(folder):
    with pytest.raises(UsageError, match="no epoch 3; 2 epochs are planned"):
        epochs.dataset(open_corpus(folder), 3)


def test_an_epoch_that_is_planned_but_not_there_is_refused_when_it_is_read(folder):
    Path(folder, "epoch-0002/manifest.json").unlink()
    corpus = open_corpus(folder)
    assert [corpus.is_complete(epoch) for epoch in (1, 2)] == [True, False]
    assert len(list(epochs.dataset(corpus, 1))) == corpus.epoch(1).num_batches == 5
    with pytest.raises(SeqmillError, match="train: epoch 2 is not there"):
        epochs.dataset(corpus, 2)


@pytest.mark.parametrize("change", ["longer", "missing"])
def test_a_shard_of_the_wrong_size_is_refused_before_reading(folder, change):
    path = shard_file(folder)
    if change == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.unlink()
    with pytest.raises(SeqmillError, match=f"{path.name}: .*manifest"):
        epochs.dataset(open_corpus(folder), 1)


def test_flipped_bytes_end_reading_with_the_shard_named(folder):
    path = shard_file(folder)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(tf.errors.OpError, match=rf"{path.name}: wrong CRC of the record at byte 0"):
        list(epochs.dataset(open_corpus(folder), 1, check=False))


def test_check_compares_hashes(folder):
    edit_manifest(folder, lambda content: content["shards"][1].update(xxh128="0" * 32), EPOCH)
    corpus = open_corpus(folder)
    assert len(list(epochs.dataset(corpus, 1, check=False))) == 5
    with pytest.raises(tf.errors.OpError, match=r"batches-00001-of-00003\.tfrecord: its xxh128"):
        list(epochs.dataset(corpus, 1))


def test_a_wrong_number_of_batches_is_noticed(folder):
    def move_one(content):
        first, second = content["shards"][:2]
        first["num_batches"], second["num_batches"] = 3, 1

    edit_manifest(folder, move_one, EPOCH)
    with pytest.raises(tf.errors.OpError, match="batches: found 2, the manifest says 3"):
        list(epochs.dataset(open_corpus(folder), 1))


def test_works_over_urls(folder):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(folder, "/corpora/train", recursive=True)
    assert len(list(epochs.dataset(open_corpus("memory://corpora/train"), 1))) == 5


def test_reading_and_training_do_not_import_beam(helpers):
    process = helpers.Process(target=helper_processes.exit_with_whether_beam_is_imported)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_pooled_buffers_are_not_shared_with_forked_processes():
    code = """
import os
import numpy as np
from seqmill.trainer.buffers import BufferPool

kept = BufferPool().copy(np.arange(5))
if (child := os.fork()) == 0:
    kept[:] = 9
    os._exit(0)
os.waitpid(child, 0)
assert kept.tolist() == [0, 1, 2, 3, 4], kept
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.lists(hnp.arrays(np.float32, hnp.array_shapes(max_side=20)), max_size=12), st.data())
def test_pooled_buffers_are_never_shared(arrays, data):
    pool, alive = BufferPool(), []
    for array in arrays:
        copied = pool.copy(array)
        assert copied.ctypes.data % 64 == 0
        alive.append((array, copied))
        if data.draw(st.booleans()):
            alive.pop(data.draw(st.integers(0, len(alive) - 1)))
        for want, found in alive:
            np.testing.assert_array_equal(found, want)
