"""A config that is damaged becomes a configuration or one line of a message."""

import contextlib
import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st
from public_configs import PUBLIC
from public_speech_configs import PUBLIC_SPEECH

from seqmill.pipelines.import_returnn.command import imported
from seqmill.transforms.storage.errors import UsageError

ALL = PUBLIC | PUBLIC_SPEECH
PIECES = (
    "None",
    "[]",
    "{}",
    "-1",
    "'x'",
    "float('nan')",
    "lambda: 3",
    "foo()",
    "train",
    "*",
    "\x07",
    "(",
    "é",
)


@given(
    name=st.sampled_from([*ALL]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.sampled_from(PIECES)), max_size=4),
)
@settings(deadline=None, max_examples=100)
def test_a_damaged_config(tmp_path_factory, name, cuts):
    text = ALL[name]
    for place, length, piece in cuts:
        start = int(place * len(text))
        text = text[:start] + piece + text[start + length :]
    path = tmp_path_factory.mktemp("damaged") / "returnn.config"
    path.write_text(text)
    with contextlib.suppress(UsageError):
        tomllib.loads(imported(str(path)))
