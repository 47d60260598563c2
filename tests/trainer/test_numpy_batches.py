import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus
from reading_processes import rows_read, sums_of_losses

from seqmill.trainer import batches, open_corpus
from seqmill.trainer.stored_epoch import StoredEpoch
from seqmill.transforms.storage.errors import SeqmillError, UsageError

SIZES = [11, 3]
EXPECTED = regression_epochs(SIZES)[0]


@pytest.fixture
def folder(tmp_path):
    return write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS)


@pytest.fixture(scope="module")
def two_processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as one, ProcessPoolExecutor(1, context) as other:
        yield one, other


def test_batches_come_in_order_over_all_shards(folder):
    data = batches(open_corpus(folder), 1, tags=True)
    assert len(data) == len(EXPECTED)
    for batch, want in zip(data, EXPECTED, strict=True):
        assert list(batch) == ["data", "data_lengths", "classes", "classes_lengths", "seq_tag", "seq_index"]
        for key in SPECS:
            np.testing.assert_array_equal(batch[key], want.arrays[key])
            np.testing.assert_array_equal(batch[f"{key}_lengths"], want.lengths[key])
            assert (batch[key].dtype, batch[f"{key}_lengths"].dtype) == (want.arrays[key].dtype, np.int32)
        assert batch["seq_tag"] == [tag.decode() for tag in want.seq_tags]
        assert batch["seq_index"].tolist() == want.seq_index.tolist()
    assert next(data, None) is None
    assert "seq_tag" not in next(batches(open_corpus(folder), 1))


def test_what_is_asked_for_behind_the_end_of_reading_is_still_given(tmp_path):
    """Threads of TensorFlow read ahead when a training is ended, and print what goes wrong there."""
    want = regression_epochs([6])[0]
    folder = write_corpus(tmp_path, regression_epochs([6]), SPECS, batches_per_shard=1)
    source = StoredEpoch(folder, open_corpus(folder).shards(1), SPECS)
    source.batch(0)
    source.close()
    for index in (0, 1, 5):
        assert source.batch(index).arrays["data"].tolist() == want[index].arrays["data"].tolist()


def test_arrays_are_aligned_read_only_and_copied_only_where_they_must_be(tmp_path):
    folder = write_corpus(tmp_path, regression_epochs([60]), SPECS, batches_per_shard=20)
    source = StoredEpoch(folder, open_corpus(folder).shards(1), SPECS)
    copied = set()
    for index in range(60):
        views, aligned = source.views(index), source.aligned(index)
        for key in SPECS:
            view, found = views[key][0], aligned[key][0]
            assert found.flags.aligned and not found.flags.writeable
            assert np.shares_memory(view, found) == view.flags.aligned
            copied.add(not view.flags.aligned)
    assert copied == {True, False}


def test_batches_that_are_kept_are_not_overwritten(folder):
    kept = list(batches(open_corpus(folder), 1))
    list(batches(open_corpus(folder), 1))
    for batch, want in zip(kept, EXPECTED, strict=True):
        np.testing.assert_array_equal(batch["data"], want.arrays["data"])


@pytest.mark.parametrize("by", ["rows", "batches"])
def test_two_processes_read_every_row_once_while_the_number_of_readers_changes(folder, two_processes, by):
    found, done, processes = [], 0, set()
    for num_readers, steps in ((1, 2), (2, 1), (3, 1), (2, 1), (3, len(EXPECTED))):
        runs = [
            two_processes[number % 2].submit(rows_read, folder, (number, num_readers), by, done, steps)
            for number in range(num_readers)
        ]
        results = [run.result() for run in runs]
        found += [row for _, rows, _ in results for row in rows]
        processes |= {process for process, _, _ in results}
        done = max(batches_done for *_, batches_done in results)
    wanted = [
        (tag.decode(), frames[:length].ravel().tolist())
        for batch in EXPECTED
        for tag, frames, length in zip(
            batch.seq_tags, batch.arrays["data"], batch.lengths["data"], strict=True
        )
    ]
    assert sorted(found) == sorted(wanted)
    assert len(processes) == 2
    assert done == len(EXPECTED)


@pytest.mark.parametrize("by", ["rows", "batches"])
def test_losses_of_two_processes_add_up_to_those_of_one(folder, two_processes, by):
    transition = np.random.default_rng(1).standard_normal((3, 5)).tolist()
    both = [
        process.submit(sums_of_losses, folder, (number, 2), by, transition)
        for number, process in enumerate(two_processes)
    ]
    one = sums_of_losses(folder, (0, 1), by, transition)
    total, number = np.sum([np.sum(run.result(), 0) for run in both], 0)
    assert (
        number == sum(frames for _, frames in one) == sum(batch.lengths["data"].sum() for batch in EXPECTED)
    )
    assert total == pytest.approx(sum(loss for loss, _ in one), rel=1e-12)


def test_a_reader_without_rows_makes_the_same_steps(folder):
    shares = [list(batches(open_corpus(folder), 1, tags=True, reader=(number, 5))) for number in range(5)]
    assert {len(share) for share in shares} == {len(EXPECTED)}
    assert shares[4][0]["data"].shape == (0, *EXPECTED[0].arrays["data"].shape[1:])
    assert shares[4][0]["seq_tag"] == []


def test_nothing_is_left_after_the_last_batch(folder):
    data = batches(open_corpus(folder), 1, first_batch=len(EXPECTED))
    assert (len(data), list(data), data.batches_done) == (0, [], len(EXPECTED))


@pytest.mark.parametrize("check", [True, False])
def test_damage_is_named(folder, check):
    path = Path(folder, "epoch-0001/batches-00001-of-00006.tfrecord")
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    data = batches(open_corpus(folder), 1, check=check)
    next(data), next(data)
    with pytest.raises(SeqmillError, match=f"{path.name}: " + ("its xxh128" if check else "wrong CRC")):
        next(data)
    assert data.batches_done == 2


def test_epochs_leave_no_threads_and_no_open_files_behind(folder):
    corpus = open_corpus(folder)

    def in_use():
        return threading.active_count() + len(list(Path("/dev/fd").iterdir()))

    before = in_use()
    for _ in range(60):
        list(batches(corpus, 1))
        next(batches(corpus, 1))  # and is left there
    assert in_use() - before < 20  # threads end a moment later


def test_an_epoch_that_is_not_stored_is_refused(folder):
    with pytest.raises(UsageError, match="no epoch 3; 2 epochs are planned"):
        batches(open_corpus(folder), 3)


def test_neither_tensorflow_nor_beam_is_imported(folder):
    code = f"""
import sys, seqmill
assert len(list(seqmill.batches(seqmill.open_corpus({folder!r}), 1))) == {len(EXPECTED)}
assert not {{"tensorflow", "keras", "apache_beam"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
