import sys

import pytest


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch):
    """``[…] | Transform()`` takes this process' arguments for Beam's."""
    monkeypatch.setattr(sys, "argv", sys.argv[:1])
