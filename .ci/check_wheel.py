"""Builds an sdist and a wheel, installs the wheel into a fresh environment elsewhere and uses it there.

It is used from a folder that holds a ``transforms/``, a ``trainer.py`` and a ``random.py`` of the user's,
with two worker processes. Run by the Python of ``make``'s environment, whose packages tell what the core
needs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipelines", "transforms", "trainer")
CONFIG = """
output = "work"
max_seqs = 3
num_epochs = 2
seq_ordering = "random"

[data.data]
field = "word"
type = "chars"

[corpus.train]
format = "jsonl"
files = ["words-*.jsonl"]
"""
READ_BACK = """
import seqmill
manifest = seqmill.read_manifest("work/epochs/train")
batches = seqmill.read_epoch("work/epochs/train", manifest, manifest.epochs[1])
print(sum(len(batch.seq_index) for batch in batches))
"""
TIMEOUT = 300  # seconds for any one command
WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def main() -> None:
    """Runs every step; ends with an error at the first that fails."""
    with tempfile.TemporaryDirectory(prefix="seqmill wheel ") as folder:  # a path with spaces on purpose
        here = Path(folder)
        with step("build the sdist, and the wheel from it"):
            wheel = build(here)
        with step("install the core's packages from the lock, then the wheel"):
            python = install(here, wheel)
        with step("run it beside a user's transforms/, trainer.py and random.py"):
            use(here / "user", python)


class step:
    """Says what is done, and how long it took."""

    def __init__(self, text: str):
        self.text = text

    def __enter__(self) -> None:
        self.start = time.monotonic()

    def __exit__(self, *error: object) -> None:
        print(f"wheel: {self.text}: {time.monotonic() - self.start:.0f} s", flush=True)


def build(here: Path) -> Path:
    """Builds sdist and wheel and compares what is in them with the tree."""
    tree = {f"seqmill/{path.relative_to(ROOT)}" for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    tree |= {"seqmill/__init__.py", "seqmill/py.typed"}

    backend = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    copy = here / "checkout"  # building leaves folders beside the sources
    copy.mkdir()
    parts = ("pyproject.toml", "README.md", "LICENSE", "seqmill", *PACKAGES)
    run("cp", "-a", *(str(ROOT / part) for part in parts), str(copy))
    run(sys.executable, "-c", backend, str(here), cwd=copy)
    (sdist,) = here.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(here / "sdist", filter="data")
    (source,) = (here / "sdist").iterdir()
    expect_files("sdist", tree, {str(path.relative_to(source)) for path in source.rglob("*")})

    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        str(source),
        cwd=here,
    )
    (wheel,) = here.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expect_files("wheel", tree, names)
    info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    if strangers := {name.split("/")[0] for name in names} - {"seqmill", info}:
        sys.exit(f"wheel: holds {', '.join(sorted(strangers))} beside seqmill")
    if f"{info}/licenses/LICENSE" not in names:
        sys.exit("wheel: the licence is missing")
    return wheel


def expect_files(what: str, tree: set[str], found: set[str]) -> None:
    """Every source file must be there, and no other in seqmill/."""
    there = {name for name in found if name.startswith("seqmill/") and name.endswith((".py", ".typed"))}
    if there != tree:
        sys.exit(f"{what}: missing {sorted(tree - there)}, unexpected {sorted(there - tree)}")


def install(here: Path, wheel: Path) -> Path:
    """Makes an environment of what the core needs, at the lock's versions and hashes, and the wheel."""
    lock = (ROOT / "requirements.lock").read_text()
    entries = {canonicalize_name(re.split("[=<>]", entry)[0]): entry for entry in re.split(r"\n(?=\S)", lock)}
    core = here / "core.txt"
    core.write_text("\n".join(entries[name] for name in sorted(needed_by("seqmill"))))
    environment = here / "an environment"
    run(sys.executable, "-m", "venv", str(environment))
    python = environment / "bin" / "python"
    pip = (str(python), "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(core))
    run(*pip, "install", "--quiet", "--no-deps", str(wheel))
    run(*pip, "check")
    return python


def needed_by(distribution: str) -> set[str]:
    """Names of the packages that a distribution needs, with all that they need, extras left out."""
    names: set[str] = set()
    waiting = [(distribution, frozenset({""}))]
    done = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in done:
            continue
        done.add((name, extras))
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                names.add(canonicalize_name(needed.name))
                waiting.append((canonicalize_name(needed.name), frozenset({"", *needed.extras})))
    return names


def use(user: Path, python: Path) -> None:
    """Runs commands on a tiny corpus, from a folder whose files have names that others have too."""
    poison = "raise SystemExit('the user\\'s own file was imported: ' + __file__)\n"
    (user / "transforms").mkdir(parents=True)
    for name in ("transforms/__init__.py", "trainer.py", "random.py", "pipelines.py"):
        (user / name).write_text(poison)
    (user / "config.toml").write_text(CONFIG)
    words = [f"word{'s' * (number % 7)}{number}" for number in range(40)]
    for part in range(2):
        lines = [json.dumps({"word": word}) for word in words[part::2]]
        (user / f"words-{part}.jsonl").write_text("\n".join(lines) + "\n")

    command = str(python.with_name("seqmill"))
    run(command, "--help", cwd=user)
    run(command, "preprocess", "config.toml", *WORKERS, cwd=user)
    run(command, "verify", "work", cwd=user)
    with_workers = hashes(user / "work")
    run(command, "preprocess", "config.toml", "--output=alone", "--direct_running_mode=in_memory", cwd=user)
    if not with_workers or hashes(user / "alone") != with_workers:
        sys.exit("wheel: two workers and none wrote different epochs, or none at all")
    found = run(str(python), "-P", "-c", READ_BACK, cwd=user).strip()
    if found != str(len(words)):
        sys.exit(f"wheel: read {found} sequences back, expected {len(words)}")


def hashes(output: Path) -> list[str]:
    """The hash of every shard, in order."""
    manifests = sorted((output / "epochs" / "train").glob("epoch-*/manifest.json"))
    epochs = [json.loads(manifest.read_text()) for manifest in manifests]
    return [shard["xxh128"] for epoch in epochs for shard in epoch["shards"]]


def run(*command: str, cwd: Path | None = None) -> str:
    """Runs a command without standing in the checkout's way; ends with what it printed where it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            sys.exit(f"wheel: {' '.join(command)} was not through after {TIMEOUT} s")
    if process.returncode:
        sys.exit(f"wheel: {' '.join(command)} ended with {process.returncode}:\n{printed}")
    return printed


if __name__ == "__main__":
    main()
