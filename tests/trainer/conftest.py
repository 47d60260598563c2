import multiprocessing

import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus
from training_runs import SIZES


@pytest.fixture(scope="session")
def corpora(tmp_path_factory):
    """Folders of a train and a dev corpus, which no test may change."""
    return _corpora(tmp_path_factory.mktemp("epochs"), SIZES, 2)


@pytest.fixture(scope="session")
def small_corpora(tmp_path_factory):
    """The same for models that run without graphs, where every step takes long: two batches an epoch."""
    return _corpora(tmp_path_factory.mktemp("small"), [2] * 6, 1)


def _corpora(folder, sizes, dev_size):
    return (
        write_corpus(folder / "train", regression_epochs(sizes), SPECS),
        write_corpus(folder / "dev", regression_epochs([dev_size], seed=5), SPECS),
    )


@pytest.fixture(scope="session")
def helpers():
    """Makes processes that begin with everything imported: they fork from a server that is started once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helper_processes", "seqmill.trainer.loop"])
    return context
