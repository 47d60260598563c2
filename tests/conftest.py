import signal
from types import SimpleNamespace

import object_store
import pytest
from eager_mode import keep_eager_mode
from seqmill_runs import Seqmill
from servers import free_port

# A shell's background ignores Ctrl-C, and so would the commands that tests press it in.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Tests leave this user's own cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQMILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def process_stays_as_it_was(monkeypatch):
    """RETURNN, an oracle in this process, switches eager mode off and answers SIGTERM itself."""
    keep_eager_mode(monkeypatch)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def seqmill(capsys):
    """Runs the command in this process: ``seqmill("plan", config)`` → how it ended."""
    return Seqmill(capsys)


@pytest.fixture(scope="session")
def silent_seqmill():
    """``seqmill`` for fixtures of wider scopes, which cannot see what is printed."""
    return Seqmill(SimpleNamespace(readouterr=lambda: SimpleNamespace(out="", err="")))


@pytest.fixture(scope="session")
def minio_port():
    """Where ``minio_folder``'s server listens; known before it runs."""
    return free_port()


@pytest.fixture(scope="session")
def minio_folder(tmp_path_factory, minio_port):
    """The objects of a MinIO server that runs: the folder of its bucket ``bucket`` is in it."""
    folder = tmp_path_factory.mktemp("minio")
    with object_store.minio(folder, minio_port):
        yield folder / "data"
