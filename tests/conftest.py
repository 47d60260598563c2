import pytest


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Tests leave this user's own cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQMILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
