import pytest

from seqmill.trainer.model_option import check_model_option
from seqmill.transforms.storage.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "def build(manifest): pass",
        "from other import build",
        "from other import make as build",
        "from other import *",
        "try:\n    build = 1\nexcept Exception:\n    raise",
        "globals()['build'] = print",
        "import no_such_module_here\nclass build: pass",
        "# -*- coding: latin-1 -*-\ndef build(manifest): '\xe4'",
    ],
)
def test_a_file_that_may_define_the_function(tmp_path, text):
    (tmp_path / "model.py").write_text(text, encoding="latin-1")
    check_model_option(f"{tmp_path}/model.py:build")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"def built(manifest): return build", "model.py defines no function 'build'; expected function"),
        (b"def build(manifest:", "model.py, line 1: not Python"),
        (b"\xff\x00", "model.py.*: not Python"),
        (b"build = '\x00'", "model.py.*: not Python"),
        (None, "there is no file"),
    ],
)
def test_a_file_that_does_not_define_it(tmp_path, text, message):
    if text is not None:
        (tmp_path / "model.py").write_bytes(text)
    with pytest.raises(UsageError, match=message):
        check_model_option(f"{tmp_path}/model.py:build")
