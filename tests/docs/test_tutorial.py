"""Follows the tutorial to the letter: writes its files, runs its commands."""

import json
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seqmill.pipelines.main import main

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
STEP = re.compile(r"(?:`([\w.]+)`:\n\n)?```(\w+)\n(.*?)```\n", re.DOTALL)


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Six recordings of a low and six of a high tone."""
    for word, frequency in (("no", 200), ("yes", 1800)):
        folder = tmp_path / "recordings" / word
        folder.mkdir(parents=True)
        for number in range(6):
            seconds = np.arange(8000 + 400 * number) / 16000
            soundfile.write(folder / f"{number:04}.wav", 0.3 * np.sin(2 * np.pi * frequency * seconds), 16000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def run(command):
    program, *arguments = shlex.split(command)
    if program == "python":
        runpy.run_path(arguments[0], run_name="__main__")
        return
    assert program == "seqmill"
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, command


def test_every_step_works(recordings, capsys):
    for name, language, text in STEP.findall(TUTORIAL.read_text()):
        if language == "sh":
            for line in text.splitlines():
                run(line)
        else:
            assert name, f"a block of {language} without a file name"
            (recordings / name).write_text(text)
    written = [path.read_text() for path in recordings.glob("config.*")]
    _, _, shown = TUTORIAL.read_text().partition("## 2.")
    for line in re.findall(r"^    (\S.*)$", shown.partition("## 3.")[0], re.MULTILINE):
        assert any(f"{line}\n" in text for text in written), line
    scores = json.loads((recordings / "work" / "model" / "scores.json").read_text())
    assert len(scores["epochs"]) == 10
    recognized = re.findall(r"^(\w+): recognized as (\w+)$", capsys.readouterr().out, re.MULTILINE)
    assert recognized
    assert all(right == found for right, found in recognized)
