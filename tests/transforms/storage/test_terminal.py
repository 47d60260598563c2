import subprocess
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.storage.terminal import printable

PRINT = """
import sys
from seqmill.transforms.storage.terminal import escape_what_the_terminal_lacks
escape_what_the_terminal_lacks()
print("h\\xe9 \\u4f60 \\udcff")
"""


@given(st.text(st.characters(categories=None)))
def test_nothing_is_left_that_a_terminal_acts_on(text):
    shown = printable(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") or c in "\n\t" for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    if text.isascii() and text.isprintable():
        assert shown == text


def test_a_terminal_that_lacks_a_character_shows_its_escape():
    for encoding, shown in (("ascii", rb"h\xe9 \u4f60 \udcff"), ("latin-1", b"h\xe9 \\u4f60 \\udcff")):
        command = [sys.executable, "-c", PRINT]
        printed = subprocess.run(
            command, env={"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(sys.path)}, capture_output=True
        )
        assert printed.stdout == shown + b"\n"
