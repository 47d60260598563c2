"""Messages that the page explains are messages that the program has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
MESSAGES = re.findall(r"^\| `(.+?)`", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def templates():
    """Every text in the sources, `…` for what is put in."""
    texts = []
    for folder in ("pipelines", "trainer", "transforms"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
                if isinstance(node, ast.JoinedStr):
                    parts = (value.value if isinstance(value, ast.Constant) else "…" for value in node.values)
                    texts.append("".join(parts))
    return texts


@pytest.mark.parametrize("message", MESSAGES)
def test_the_program_has_the_message(message, templates):
    # `…` may also stand for several things put in, or for the rest of a message.
    pattern = "(?s:.*)".join(re.escape(piece.strip()) for piece in message.split("…"))
    assert any(re.search(pattern, template) for template in templates)
