import clusters
import corpora
import pytest
from servers import built_engine


@pytest.fixture(scope="session")
def prism():
    """Prism, started by the command itself."""
    return clusters.Cluster(("--runner=PrismRunner", f"--prism_location={built_engine('prism')}"))


@pytest.fixture(scope="session")
def prism_server(tmp_path_factory):
    with clusters.prism(tmp_path_factory.mktemp("prism")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def job_service(tmp_path_factory):
    with clusters.job_service(tmp_path_factory.mktemp("job_service")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def dask(tmp_path_factory):
    with clusters.dask(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def two_corpora(tmp_path_factory):
    """The configuration of two small corpora."""
    return corpora.write_two_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="session")
def many_tasks(tmp_path_factory):
    """The configuration of a corpus of many small tasks."""
    return corpora.write_many_tasks(tmp_path_factory.mktemp("many"))
