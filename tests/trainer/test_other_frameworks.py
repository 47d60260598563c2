"""The examples that read epochs with PyTorch and JAX, as they stand."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus
from optional import needs_torch

from seqmill.trainer import batches, open_corpus

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("train"), regression_epochs([7, 5]), SPECS)


def example(name):
    return runpy.run_path(str(EXAMPLES / name / "train.py"))


def losses_of(name, folder, capsys):
    example(name)["main"](folder, 5)
    return [float(loss) for loss in re.findall(r"loss (\S+)", capsys.readouterr().out)]


def test_jax_learns_from_stored_epochs(folder, capsys):
    losses = losses_of("jax", folder, capsys)
    assert len(losses) == 5
    assert losses[4] < losses[0]


def test_rows_and_frames_that_jax_is_given_besides_cost_nothing(folder):
    jax = example("jax")
    parameters = jax["init"](5)
    batch = next(batches(open_corpus(folder), 1))
    columns = batch["classes"], batch["classes_lengths"]
    _, plain = jax["step"](parameters, *columns)
    _, filled = jax["step"](parameters, *map(jax["with_few_shapes"], columns))
    np.testing.assert_allclose(filled, plain, rtol=1e-5)


@needs_torch
def test_pytorch_learns_from_stored_epochs(folder, capsys):
    losses = losses_of("pytorch", folder, capsys)
    assert losses[4] < losses[0]


@needs_torch
@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("by", ["rows", "batches"])
def test_a_loader_gives_every_batch_once_and_in_order(folder, num_workers, by):
    import torch

    stored_batches = example("pytorch")["StoredBatches"]
    corpus = open_corpus(folder)
    for number in range(2):
        share = {"reader": (number, 2), "by": by, "first_batch": 1}
        data = stored_batches(corpus, 1, **share)
        loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=num_workers)
        wanted = list(batches(corpus, 1, **share))
        assert len(loader) == len(wanted)
        for batch, want in zip(loader, wanted, strict=True):
            assert batch.keys() == want.keys()
            for name, column in want.items():
                np.testing.assert_array_equal(batch[name].numpy(), column)
