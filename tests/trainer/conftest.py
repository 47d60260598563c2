import multiprocessing

import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus
from training_runs import SIZES


@pytest.fixture(scope="session")
def corpora(tmp_path_factory):
    """Folders of a train and a dev corpus, which no test may change."""
    folder = tmp_path_factory.mktemp("epochs")
    return (
        write_corpus(folder / "train", regression_epochs(SIZES), SPECS),
        write_corpus(folder / "dev", regression_epochs([2], seed=5), SPECS),
    )


@pytest.fixture(scope="session")
def helpers():
    """Makes processes that begin with everything imported: they fork from a server that is started once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helper_processes", "seqmill.trainer.loop"])
    return context
