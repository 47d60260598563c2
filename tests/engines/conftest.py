import clusters
import pytest
from seqmill_runs import write_config, write_jsonl
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
def config(tmp_path_factory):
    """Corpora of three and one splits with counted labels; chunks, several epochs and shards."""
    folder = tmp_path_factory.mktemp("corpora")
    for corpus, num_files in (("train", 3), ("dev", 1)):
        for file in range(num_files):
            write_jsonl(folder / f"{corpus}-{file}.jsonl", [_record(i + 7 * file) for i in range(60)])
    return write_config(
        folder,
        {"data": {"type": "floats"}, "classes": {"type": "words"}},
        {name: {"format": "jsonl", "files": [f"{name}-*.jsonl"]} for name in ("train", "dev")},
        max_seq_length={"data": 15},
        seq_ordering="laplace:3",
        chunking={"data": "6:4"},
        num_epochs=2,
        num_shards=3,
        max_rejected=0.1,
    )


def _record(number):
    if number == 11:
        return {"data": "none", "classes": "a"}  # rejected
    frames = [[(number * 7 + frame) % 11 / 4, -frame] for frame in range(1 + number * 5 % 17)]
    return {"data": frames, "classes": " ".join("abcdé"[(number + k) % 5] for k in range(1 + number % 3))}
