"""What `seqmill plan` refuses, warns of, and needs."""

import json
import subprocess
import sys

from seqmill_runs import write_config, write_jsonl

INTS = {"x": {"type": "ints"}}


def corpus(folder, records):
    write_jsonl(folder / "a.jsonl", records)
    return {"train": {"format": "jsonl", "files": ["a.jsonl"]}}


def test_too_many_sequences_that_cannot_be_chunked_are_refused_by_plan_too(tmp_path, seqmill):
    records = [{"x": [1] * 10, "y": [1] * 3}, {"x": [2] * 4, "y": [2] * 4}]
    data = {"x": {"type": "ints"}, "y": {"type": "ints"}}
    config = write_config(tmp_path, data, corpus(tmp_path, records), chunking="4:2", max_rejected=0.1)
    for command in ("plan", "preprocess"):
        ended = seqmill(command, config)
        assert ended.code == 1
        ended.names("corpus train: 1 of 2 sequences rejected", "max_rejected", "numbers of chunks differ: 1")
    assert seqmill("plan", config, "--max_rejected=0.5").code == 0


def test_too_little_space_is_a_warning_of_plan(tmp_path, seqmill, new_disk):
    records = [{"x": list(range(1000))}] * 50
    config = write_config(
        tmp_path, INTS, corpus(tmp_path, records), output=str(new_disk("1m") / "out"), batch_size=5000
    )
    ended = seqmill.succeeds("plan", config, "--num_epochs=20", "--seq_ordering=random", "--json")
    assert "out: train needs" in ended.err
    assert len(json.loads(ended.out)[0]["epochs"]) == 20


def test_plan_reads_an_output_that_cannot_be_written(tmp_path, seqmill, new_disk):
    disk = new_disk("8m")
    config = write_config(tmp_path, INTS, corpus(tmp_path, [{"x": [1, 2]}] * 9), output=str(disk / "out"))
    planned = seqmill.succeeds("plan", config, "--json").out
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert seqmill.succeeds("plan", config, "--json").out == planned
    ended = seqmill("preprocess", config)
    assert ended.code == 1
    ended.names(str(disk / "out"), "Read-only file system")


def test_one_machine_needs_no_beam(tmp_path):
    data = {"x": {"type": "words"}, "y": {"type": "floats"}}
    records = [{"x": "a b", "y": [[1.0, 2.0]]}] * 9
    config = write_config(tmp_path, data, corpus(tmp_path, records))
    code = f"""
import sys
from seqmill.pipelines.main import main
main(["preprocess", {str(config)!r}, "--direct_num_workers=2"])
main(["preprocess", {str(config)!r}, {f"--output={tmp_path}/other"!r}])
for arguments in (["ingest", {str(config)!r}], ["preprocess", {str(config)!r}], ["plan", {str(config)!r}]):
    main(arguments)
main(["verify", {str(tmp_path / "out")!r}])
main(["show", {str(tmp_path / "out")!r}])
assert "apache_beam" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
