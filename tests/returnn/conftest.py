import pytest
from eager_mode import keep_eager_mode


@pytest.fixture(autouse=True, scope="package")
def eager_mode_stays_for_wide_fixtures():
    """What tests/conftest.py does for each test, for fixtures of modules too."""
    with pytest.MonkeyPatch.context() as patch:
        keep_eager_mode(patch)
        yield
