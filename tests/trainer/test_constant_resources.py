"""That what a training holds does not grow with its epochs."""

import gc
import threading
from collections import Counter
from pathlib import Path

import keras
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus
from training_runs import run

from seqmill.trainer.epochs import dataset

OURS = ("seqmill", "keras", "tensorflow")


@pytest.fixture
def corpora(tmp_path):
    """One to train on and two to evaluate."""
    names = {"train": [3, 2], "dev": [2], "test": [1]}
    folders = {
        name: write_corpus(tmp_path / name, regression_epochs(sizes, seed=len(name)), SPECS)
        for name, sizes in names.items()
    }
    return folders["train"], {name: folders[name] for name in ("dev", "test")}


class Held(keras.callbacks.Callback):
    """Counts what the process holds, after some of the epochs."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs, self.after = epochs, {}

    def on_epoch_end(self, epoch, logs=None):
        """Counts."""
        if epoch + 1 in self.epochs:
            gc.collect()
            kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
            ours = {kind: count for kind, count in kinds.items() if kind.startswith(OURS)}
            self.after[epoch + 1] = ours, threading.active_count(), num_open_files()


def num_open_files():
    """Open files of this process, 0 where that is not known."""
    return sum(1 for _ in Path("/proc/self/fd").glob("*"))


def test_epochs_leave_nothing_behind(corpora, tmp_path):
    traced = []

    def batch_to_xy(batch):
        traced.append(1)
        return batch["data"], batch["classes"], batch["classes_mask"]

    def extra_scores(model, corpus):
        return {"batches": float(sum(1 for _ in dataset(corpus, 1)))}

    held = Held({4, 8})
    run(
        corpora,
        tmp_path / "model",
        8,
        distinct_epochs=2,
        batch_to_xy=batch_to_xy,
        extra_scores=extra_scores,
        callbacks=[held],
        cleanup_old_models=True,
    )
    (objects, threads, files), (later_objects, later_threads, later_files) = held.after[4], held.after[8]
    assert later_objects == objects
    assert later_threads < threads + 4  # the last few may be about to end
    assert later_files < files + 4
    assert len(traced) == 3  # once for each corpus
