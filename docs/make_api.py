"""Prints docs/api.md from the docstrings of the public names: ``make api``."""

import inspect

import seqmill
from seqmill.transforms import beam

ROOMS = {
    "pipelines": "Commands, as functions",
    "transforms.batches": "Written epochs",
    "transforms.store": "The sequence store",
    "transforms.features": "Vocabularies",
    "transforms.planning": "Planning, with NumPy alone",
    "trainer": "Reading epochs (with NumPy alone, too) and training",
    "transforms.storage": "Errors",
}
HEAD = """# API

What `seqmill` and `seqmill.transforms.beam` export. Each name is imported when it is first asked for, so that
`import seqmill` loads neither Apache Beam nor TensorFlow. `help(seqmill.NAME)` gives arguments, shapes,
errors and an example; the examples are run by the tests. Everything else is internal and may change at any
time.

This page is made by `make api`; a test compares it with the code."""


def main() -> None:
    """Prints the page."""
    print(HEAD)
    for room, title in ROOMS.items():
        names = [name for name in seqmill.__all__ if home(name).startswith(f"seqmill.{room}")]
        print(f"\n## {title}\n\n| name | |\n|---|---|")
        for name in sorted(names, key=str.lower):
            print(f"| `seqmill.{name}` | {summary(getattr(seqmill, name))} |")
    print("\n## Transforms for pipelines of your own: [Beam](beam.md)\n\n| name | |\n|---|---|")
    for name in sorted(beam.__all__, key=str.lower):
        print(f"| `seqmill.transforms.beam.{name}` | {summary(getattr(beam, name))} |")


def home(name: str) -> str:
    """The module that a public name is defined in."""
    return getattr(getattr(seqmill, name), "__module__", "")


def summary(value: object) -> str:
    """The first paragraph of a docstring."""
    text = inspect.getdoc(value) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    main()
