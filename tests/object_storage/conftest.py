import random
import shutil
from pathlib import Path

import object_store
import pytest
from fault_proxy import FaultProxy
from object_store import ObjectStore, clear_clients, environment
from seqmill_runs import write_config, write_jsonl
from servers import free_port

LETTERS, PHONES = "abcdefghij", "ABCDEFGHIJ"


@pytest.fixture(scope="session")
def minio(minio_port, minio_folder):
    """A MinIO server behind a proxy; the settings of this process lead to the proxy."""
    proxy = FaultProxy(minio_port)
    with proxy.listening() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(endpoint).items():
            patch.setenv(name, value)
        yield ObjectStore(minio_port, proxy, endpoint, minio_folder)


@pytest.fixture
def mortal_store(tmp_path, monkeypatch):
    """A store of its own that can be killed and started again: ``with mortal_store.running():``."""
    folder, port = tmp_path / "minio", free_port()
    proxy = FaultProxy(port)
    with proxy.listening() as endpoint:
        for name, value in environment(endpoint).items():
            monkeypatch.setenv(name, value)
        clear_clients()
        store = ObjectStore(port, proxy, endpoint, folder / "data")
        store.running = lambda: object_store.minio(folder, port)
        yield store
    clear_clients()


@pytest.fixture
def store(minio, request):
    """The server, and a place in its bucket that nothing else uses; the proxy does as it should."""
    minio.proxy.reset()
    clear_clients()
    minio.url = f"s3://bucket/{request.node.name.replace('[', '-').replace(']', '')}"
    yield minio
    minio.proxy.reset()
    shutil.rmtree(Path(minio.folder, minio.url.removeprefix("s3://")), ignore_errors=True)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder with a corpus of words and phones in three files, and one to evaluate on."""
    folder, chance = tmp_path_factory.mktemp("corpus"), random.Random(1)

    def records(number):
        for _ in range(number):
            word = "".join(chance.choices(LETTERS, k=chance.randint(1, 12)))
            yield {"data": word, "classes": " ".join(PHONES[LETTERS.index(letter)] for letter in word)}

    for name, number in (("train-0", 300), ("train-1", 200), ("train-2", 100), ("dev", 50)):
        write_jsonl(folder / f"{name}.jsonl", [*records(number), "not JSON"][: number + 1])
    return folder


@pytest.fixture
def configured(corpus, tmp_path):
    """function(output, source folder or URL, **options) → a configuration that preprocesses ``corpus``."""

    def configure(output, source=corpus, **options):
        number = len([*tmp_path.glob("*.toml")])
        return write_config(
            tmp_path,
            {"data": {"type": "chars"}, "classes": {"type": "words"}},
            {
                "train": {"format": "jsonl", "files": [f"{source}/train-*.jsonl"], "max_rejected": 0.1},
                "dev": {"format": "jsonl", "files": [f"{source}/dev.jsonl"], "max_rejected": 0.1},
            },
            name=f"config-{number}.toml",
            **{
                "output": str(output),
                "batch_size": 200,
                "num_epochs": 2,
                "num_shards": 2,
                "seq_ordering": "laplace:.50",
                **options,
            },
        )

    return configure


@pytest.fixture
def expected(corpus, configured, tmp_path, silent_seqmill):
    """What ``configured`` makes on local disk: content by name."""
    silent_seqmill.succeeds("preprocess", configured(tmp_path / "local"))
    return ObjectStore.local_tree(tmp_path / "local")
