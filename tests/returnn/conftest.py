import sys

import pytest


@pytest.fixture(autouse=True, scope="package")
def eager_mode_stays_for_wide_fixtures():
    """What tests/conftest.py does for each test, for fixtures of modules too."""
    with pytest.MonkeyPatch.context() as patch:
        if "tensorflow" in sys.modules:
            v1 = sys.modules["tensorflow"].compat.v1
            for name in ("disable_eager_execution", "disable_v2_tensorshape", "disable_control_flow_v2"):
                patch.setattr(v1, name, lambda: None)
        yield
