"""Start-up: the whole command on small corpora, as a ratio to ``import apache_beam`` in the same run.

    python -m benchmarks.start --folder /dev/shm --before ../seqmill-of-before

Three corpora of 1,000 short sequences are preprocessed in a new output, in worker processes and in the
command's own, then once more with nothing to do. With ``--steps`` the G2P example runs from raw text to its
first training step; with ``--before``, another checkout of seqmill does the same in turn. Modules are
compiled before, as an installation's are. The fastest run of each counts: what a shared machine adds is
noise.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import common

_UNIT = "import apache_beam"
_HERE = Path(__file__).parent.parent
_CONFIG = """
output = "{output}"
batch_size = 400
seq_ordering = "laplace:.1000"
num_epochs = 3
[data.data]
field = "word"
type = "chars"
[data.classes]
field = "phones"
type = "words"
"""
_CORPUS = """
[corpus.{name}]
format = "jsonl"
files = ["{folder}/{name}.jsonl"]
"""
# The model of the example, ended by a callback when it has trained one step.
_MODEL = """
import importlib.util, os, sys, time
import keras
spec = importlib.util.spec_from_file_location("g2p_model", {model!r})
g2p = importlib.util.module_from_spec(spec)
sys.modules["g2p_model"] = g2p
spec.loader.exec_module(g2p)
build, batch_to_xy = g2p.build, g2p.batch_to_xy

class FirstStep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        os._exit(77)

def callbacks(manifest, folder):
    return [FirstStep()]
"""


def main() -> None:
    """Runs all of it and prints a table."""
    parser = common.parser(
        __doc__ or "",
        corpora=(3, "corpora"),
        seqs=(1000, "sequences of each"),
        workers=(2, "worker processes"),
        rounds=(5, "rounds"),
        steps=(0, "rounds to the first training step of the G2P example"),
    )
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    args = parser.parse_args()
    trees = {"before": args.before.resolve(), "now": _HERE} if args.before else {"now": _HERE}
    took: defaultdict[str, list[float]] = defaultdict(list)
    with common.scratch(args.folder) as folder:
        runs: dict[str, Callable[[], float]] = {_UNIT: lambda: _clocked(["-c", _UNIT], {})}
        for name, tree in trees.items():
            config = _write_corpora(Path(folder, name), int(args.corpora), int(args.seqs))
            runs |= {f"{what}, {name}": run for what, run in _runs(tree, config, int(args.workers)).items()}
        for round_number in range(int(args.rounds) + 1):
            for what, run in runs.items():
                seconds = run()
                if round_number:  # the first compiles modules
                    took[what].append(seconds)
        for _ in range(int(args.steps)):
            for name, tree in trees.items():
                took[f"G2P example to its first step, {name}"].append(_first_step(tree, Path(folder, "g2p")))
    unit = min(took[_UNIT])
    rows = [(what, f"{min(all_of):.2f}", f"{min(all_of) / unit:.2f}") for what, all_of in took.items()]
    common.print_table(f"fastest of each; {common.load_of_machine()}", ("", "s", "of the import"), rows)


def _runs(tree: Path, config: Path, workers: int) -> dict[str, Callable[[], float]]:
    command = ["-m", "seqmill.pipelines.main", "preprocess", str(config)]
    in_workers = [*command, "--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    output = config.parent / "out"

    def anew(arguments: list[str]) -> float:
        shutil.rmtree(output, ignore_errors=True)
        return _clocked(arguments, {"PYTHONPATH": str(tree)})

    return {
        f"new output, {workers} worker processes": lambda: anew(in_workers),
        "new output, one process": lambda: anew(command),
        "up to date": lambda: _clocked(command, {"PYTHONPATH": str(tree)}),
    }


def _write_corpora(folder: Path, num_corpora: int, num_seqs: int) -> Path:
    """Writes corpora of short words and a configuration; returns the path of that."""
    folder.mkdir()
    draw = random.Random(0)
    names = ["train", *(f"dev{number}" for number in range(1, num_corpora))]
    for name in names:
        with (folder / f"{name}.jsonl").open("w") as file:
            for _ in range(num_seqs):
                word = "".join(draw.choices("abcdefgh", k=draw.randint(3, 12)))
                phones = " ".join(draw.choices(["S", "IY", "AH"], k=len(word)))
                file.write(json.dumps({"word": word, "phones": phones}) + "\n")
    corpora = "".join(_CORPUS.format(folder=folder, name=name) for name in names)
    path = folder / "config.toml"
    path.write_text(_CONFIG.format(output=folder / "out") + corpora)
    return path


def _first_step(tree: Path, corpus: Path) -> float:
    """Seconds of ``seqmill run`` on the G2P example, from raw text to the end of the first training step."""
    example = tree / "examples/g2p"
    if not corpus.exists():
        subprocess.run([sys.executable, str(example / "make_corpus.py"), str(corpus)], check=True)
    model = corpus / "model.py"
    model.write_text(_MODEL.format(model=str(example / "model.py")))
    output = corpus / "out"
    shutil.rmtree(output, ignore_errors=True)
    config = (example / "config.toml").read_text().replace("work/corpus/", f"{corpus}/")
    path = corpus / "config.toml"
    path.write_text(config.replace("model.py:build", f"{model}:build"))
    arguments = ["-m", "seqmill.pipelines.main", "run", str(path), f"--output={output}"]
    return _clocked(arguments, {"PYTHONPATH": str(tree)}, code=77)


def _clocked(arguments: list[str], settings: Mapping[str, str], code: int = 0) -> float:
    environment = {**os.environ, **settings}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.monotonic()
    ended = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    if ended.returncode != code:
        raise SystemExit(ended.stderr)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
