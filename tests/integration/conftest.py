import pytest
from seqmill_runs import Seqmill


@pytest.fixture
def seqmill(capsys):
    """Runs the command in this process: ``seqmill("plan", config)`` → how it ended."""
    return Seqmill(capsys)
