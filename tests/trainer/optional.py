"""What not every machine that runs the tests has."""

import importlib.util

import pytest

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="PyTorch is not installed: it is too large for the lock (pip install torch)",
)
