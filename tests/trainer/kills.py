"""Kills trainings with SIGKILL at random moments, inside epochs too, until they are through.

    python tests/trainer/kills.py KIND NUM_KILLS [SEED]      KIND as in kill_kinds.py, or "all" of one backend

prints a row per kind: how many kills, how many of the restarts went on inside an epoch, and whether every
training ended bit for bit as one that was never killed. ``KERAS_BACKEND=jax`` is for kind JAX.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

NUM_EPOCHS = 4
SIZES = [9, 12, 7, 11]
SAVE_SECONDS = 0.04
SOON = 0.5


@dataclass
class Row:
    """What the kills of one kind came to."""

    kind: str
    kills: int = 0
    trainings: int = 0
    inside: int = 0
    between: int = 0
    anew: int = 0
    is_identical: bool = True


def kill_often(context, kind: str, corpora, folder: Path, num_kills: int, seed: str = "0") -> Row:
    """Kills trainings of a kind until there were so many kills, each training until it is through.

    Args:
        context: Of ``multiprocessing``; makes the processes.
        kind: In ``kill_kinds.KINDS``.
        corpora: Folders of a train and a dev corpus.
        folder: Is written to.
        num_kills: How many.
        seed: Of the moments.
    """
    straight = folder / "straight"
    process = _start(context, kind, corpora, straight, False)
    _wait_for_training(process, straight)
    begun = time.monotonic()
    process.join()
    seconds = time.monotonic() - begun
    assert process.exitcode == 0, kind
    rng, row = random.Random(f"{kind} {seed}"), Row(kind)
    while row.kills < num_kills:
        row.trainings += 1
        killed = folder / f"killed-{row.trainings}"
        while not _outcome_of(killed).exists():
            process = _start(context, kind, corpora, killed, True)
            _wait_for_training(process, killed)
            soon_after_a_save = rng.random() < 0.7
            if soon_after_a_save:
                _wait_for_another_checkpoint(process, killed)
            longest = SOON if soon_after_a_save else 0.6 * seconds
            process.join(rng.uniform(0, longest) if row.kills < num_kills else None)
            if process.is_alive():
                process.kill()
                row.kills += 1
                process.join()
            else:
                assert process.exitcode == 0, kind
        _count_starts(killed, row)
        row.is_identical &= _are_equal(straight, killed)
    return row


def train(kind: str, train_folder: str, dev_folder: str, folder: str, inside: bool) -> None:
    """Trains from wherever ``folder`` stands, then writes what it has come to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    import kill_kinds
    import numpy as np

    from seqmill.trainer import train

    def say(line: str) -> None:
        with Path(f"{folder}.txt").open("a") as file:
            file.write(f"{line}\n")

    build, make_callbacks = kill_kinds.KINDS[kind]
    model, callbacks = build(), make_callbacks()
    say("start")
    history = train(
        model,
        train_folder,
        dev_folder,
        num_epochs=NUM_EPOCHS,
        folder=folder,
        save_minutes=SAVE_SECONDS / 60 if inside else None,
        cleanup_old_models={"keep_last_n": 2, "keep_best_n": 1, "keep": []},
        callbacks=callbacks,
        say=say,
    )
    temporary = Path(f"{folder}.tmp.npz")
    np.savez(temporary, **kill_kinds.outcome(model, callbacks, history))
    temporary.rename(_outcome_of(folder))


def _start(context, kind, corpora, folder, inside):
    process = context.Process(target=train, args=(kind, *corpora, str(folder), inside))
    process.start()
    return process


def _outcome_of(folder) -> Path:
    return Path(f"{folder}.npz")


def _wait_for_training(process, folder: Path) -> None:
    """Until the training holds its lock: building the model is not what is to be killed."""
    while process.is_alive():
        lock = folder / ".lock"
        if lock.exists() and f"(process {process.pid})" in lock.read_text():
            return
        time.sleep(0.01)


def _wait_for_another_checkpoint(process, folder: Path) -> None:
    before = set(folder.glob("epoch-*"))
    while process.is_alive() and set(folder.glob("epoch-*")) <= before:
        time.sleep(0.005)


def _count_starts(folder: Path, row: Row) -> None:
    """Where the starts after a kill went on."""
    starts = Path(f"{folder}.txt").read_text().split("start\n")[2:]
    for lines in starts:
        is_between = "going on from" in lines
        is_inside = is_between and "-step-" in lines.partition("going on from")[2].splitlines()[0]
        row.inside += is_inside
        row.between += is_between and not is_inside
        row.anew += not is_between


def _are_equal(first: Path, second: Path) -> bool:
    import numpy as np

    with np.load(_outcome_of(first)) as a, np.load(_outcome_of(second)) as b:
        different = [n for n in a.files if n not in b.files or a[n].tobytes() != b[n].tobytes()]
        if different or a.files != b.files:
            print(f"{second}: differs in {different[:5]}", file=sys.stderr)
        return a.files == b.files and not different


def main(kinds: list[str], num_kills: int, seed: str) -> None:
    """Prints a row per kind, as JSON."""
    from epoch_folders import SPECS, regression_epochs, write_corpus

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_kinds", "seqmill.trainer.loop"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpora = [
            write_corpus(folder / "train", regression_epochs(SIZES, same_shape=True), SPECS),
            write_corpus(folder / "dev", regression_epochs([2], seed=5, same_shape=True), SPECS),
        ]
        for number, kind in enumerate(kinds):
            place = folder / str(number)
            place.mkdir()
            print(json.dumps(vars(kill_often(context, kind, corpora, place, num_kills, seed))), flush=True)


if __name__ == "__main__":
    sys.path[:0] = map(str, Path(__file__).parents[:2])
    chosen = [sys.argv[1]]
    if sys.argv[1] == "all":
        from kill_kinds import KINDS

        chosen = [one for one in KINDS if (one == "JAX") == (os.environ.get("KERAS_BACKEND") == "jax")]
    main(chosen, int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "0")
