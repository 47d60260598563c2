"""What ``import seqmill`` promises: names, docstrings, examples that run, and nothing heavy loaded."""

import ast
import doctest
import inspect
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import seqmill
from seqmill.transforms import beam as transforms

ROOT = Path(__file__).parents[2]
PUBLIC = [name for name in seqmill.__all__ if name != "__version__"]
OF_BEAM = [f"transforms.beam.{name}" for name in transforms.__all__]

public = pytest.mark.parametrize("name", [*PUBLIC, *OF_BEAM])


def named(name):
    """What ``seqmill.<name>`` is."""
    return getattr(transforms if name in OF_BEAM else seqmill, name.rpartition(".")[2])


def test_importing_seqmill_loads_nothing_heavy():
    code = """
import sys, seqmill
assert seqmill.__version__
seqmill.parse_ordering, seqmill.UsageError
import seqmill.transforms.beam
heavy = {"apache_beam", "tensorflow", "keras", "pyarrow", "pydantic"} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", [seqmill, transforms], ids=["seqmill", "transforms.beam"])
def test_type_checkers_see_the_same_names(module):
    # What stands under TYPE_CHECKING must be what __getattr__ gives.
    tree = ast.parse(Path(module.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in imports
        for alias in node.names
        if str(node.module).startswith("seqmill.")
    }
    given = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
    assert seen == {name: f"{value.__module__}.{value.__name__}" for name, value in given.items()}


@public
def test_every_example_runs(name, example_folder, monkeypatch):
    monkeypatch.chdir(example_folder)
    monkeypatch.setattr(sys, "argv", sys.argv[:1])  # which Beam takes for its own
    value = named(name)
    globs = dict(vars(sys.modules[value.__module__]))
    tests = [test for test in doctest.DocTestFinder().find(value, name, globs=globs) if test.examples]
    assert tests, f"seqmill.{name} has no example"
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options, verbose=False)
    for test in tests:
        runner.run(test)
    assert runner.failures == 0, "see what was printed"


@public
def test_arguments_are_explained(name):
    value = named(name)
    text = inspect.getdoc(value)
    parameters = inspect.signature(value).parameters.values() if inspect.isfunction(value) else []
    for parameter in parameters:
        if len(parameters) > 1:
            assert f"{parameter.name}:" in text, f"seqmill.{name}: {parameter.name} is not explained"


def test_the_api_page_is_up_to_date(capsys):
    runpy.run_path(str(ROOT / "docs" / "make_api.py"), run_name="__main__")
    assert (ROOT / "docs" / "api.md").read_text() == capsys.readouterr().out, "run `make api`"
