"""What stands around a run may be hostile or poor: links, few open files, terminals, commanding data."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from seqmill_runs import read_epochs, write_config, write_jsonl

COMMAND = [sys.executable, "-m", "seqmill.pipelines.main"]


def run_with_few_files(*arguments, limit=256):
    """Runs the real command; the most files it had open."""
    lowered = ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh"]
    most = 0
    with psutil.Popen(
        [*lowered, *COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        while process.poll() is None:
            most = max([most, *(_open_files(one) for one in [process, *_children(process)])])
            try:
                process.wait(0.05)
            except psutil.TimeoutExpired:
                continue
        output = process.stdout.read().decode()
    assert process.returncode == 0, output
    return most


def _children(process):
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _open_files(process):
    try:
        return process.num_fds()
    except psutil.Error:
        return 0


def make_corpus(folder, num_files):
    for number in range(num_files):
        write_jsonl(folder / f"{number:05d}.jsonl", [{"x": [number, 1, 2]}])
    return {"train": {"format": "jsonl", "files": ["*.jsonl"]}}


@pytest.mark.parametrize(
    ("num_files", "num_shards", "num_epochs", "limit"),
    [
        (150, 75, 2, 64),
        pytest.param(5000, 2000, 1, 256, marks=pytest.mark.long),
        pytest.param(10, 1, 3000, 256, marks=pytest.mark.long),
    ],
)
def test_few_open_files_are_enough(tmp_path, num_files, num_shards, num_epochs, limit):
    corpora = make_corpus(tmp_path, num_files)
    config = write_config(
        tmp_path,
        {"x": {"type": "ints"}},
        corpora,
        max_seqs=1,
        seq_ordering="random",
        num_shards=num_shards,
        num_epochs=num_epochs,
    )
    most = run_with_few_files("preprocess", config, limit=limit)
    assert most < 40
    most = run_with_few_files("verify", tmp_path / "out", limit=limit)
    assert most < 40
    assert sum(len(epoch) for epoch in read_epochs(tmp_path / "out")) == num_files * num_epochs


def test_a_terminal_shows_what_it_cannot_print_and_obeys_no_data(tmp_path, seqmill):
    text = "h\u00e9 \u4f60 [bold]\x1b[31mred\x07\x9b\u202e"
    write_jsonl(tmp_path / "a.jsonl", [{"x": text, "tag": "t\x1b[2J\n\u4f60"}, {"x": 1, "tag": "\x1b"}])
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"], "seq_tag": "tag"}}
    config = write_config(tmp_path, {"x": {"type": "bytes"}}, corpora, max_rejected=0.5)
    seqmill.succeeds("preprocess", config)
    shown = seqmill.succeeds("show", tmp_path / "out").out
    assert r"h" "\u00e9 \u4f60" r" [bold]\x1b[31mred\x07\x9b\u202e" in shown
    assert r"t\x1b[2J\n" "\u4f60 (row 0)" in shown
    command = [*COMMAND, "show", tmp_path / "out"]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "LANG": "C"}
    printed = subprocess.run(command, env=ascii_only, capture_output=True)
    assert (printed.returncode, printed.stderr) == (0, b"")
    assert rb"h\xe9 \u4f60 [bold]\x1b[31mred\x07\x9b\u202e" in printed.stdout
    ended = seqmill("preprocess", config, "--max_rejected=0")
    ended.names("1 of 2 sequences rejected")
    assert "\x1b" not in ended.err


def test_a_planted_link_is_not_written_through(tmp_path, seqmill):
    corpora = make_corpus(tmp_path, 1)
    config = write_config(tmp_path, {"x": {"type": "ints"}}, corpora)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/epochs").symlink_to(tmp_path / "elsewhere")
    seqmill("preprocess", config).names("out/epochs: a link to", "remove the link")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_messages_that_cannot_be_written_never_end_the_work(tmp_path):
    config = write_config(tmp_path, {"x": {"type": "ints"}}, make_corpus(tmp_path, 3))
    with Path("/dev/full").open("wb") as full:
        subprocess.run([*COMMAND, "preprocess", str(config)], check=True, stderr=full)
    assert (tmp_path / "out/epochs/train/manifest.json").exists()


@pytest.mark.parametrize("limit", ["memory", "threads"])
def test_limits_of_the_system_are_one_line(tmp_path, limit):
    vocab = tmp_path / "vocab.txt"
    vocab.touch()
    os.truncate(vocab, 1 << 30)
    config = write_config(tmp_path, {"x": {"type": "chars", "vocab": str(vocab)}}, make_corpus(tmp_path, 1))
    code = f"""
import resource, sys
from seqmill.pipelines import flags, preprocess
from seqmill.pipelines.main import main
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + {500_000_000 if limit == "memory" else 0}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main(["preprocess", {str(config)!r}])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert {"memory": "out of memory", "threads": "memory or threads"}[limit] in ended.stderr
