import clusters
import corpora
import pytest
from object_store import ObjectStore, clear_clients, environment
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
def flink(tmp_path_factory):
    with clusters.flink(tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def job_service(tmp_path_factory, to_object_store):
    with clusters.job_service(tmp_path_factory.mktemp("job_service"), to_object_store) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def dask(tmp_path_factory, to_object_store):
    with clusters.dask(tmp_path_factory.mktemp("dask"), to_object_store) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def two_corpora(tmp_path_factory):
    """The configuration of two small corpora."""
    return corpora.write_two_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="session")
def many_tasks(tmp_path_factory):
    """The configuration of a corpus of many small tasks."""
    return corpora.write_many_tasks(tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="session")
def to_object_store(minio_port):
    """Variables that lead workers to an object store, whether it runs or not."""
    return environment(f"http://127.0.0.1:{minio_port}")


@pytest.fixture
def store(minio_port, minio_folder, to_object_store, monkeypatch):
    """The object store that workers are led to, too."""
    endpoint = to_object_store["AWS_ENDPOINT_URL"]
    for name, value in to_object_store.items():
        monkeypatch.setenv(name, value)
    clear_clients()
    yield ObjectStore(minio_port, None, endpoint, minio_folder)
    clear_clients()
