"""Prints the phoneme error rate of predictions that ``seqmill predict`` wrote.

python examples/g2p/error_rate.py examples/g2p/work/corpus/dev.jsonl PREDICTIONS...
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from model import error_rate


def main() -> None:
    """One line for each file of predictions."""
    corpus, *files = sys.argv[1:]
    pronunciations, words = defaultdict(set), {}
    for record in read(corpus):
        words[record["tag"]] = record["word"]
        pronunciations[record["word"]].add(tuple(record["phones"].split()))
    for file in files:
        predicted = {words[line["seq_tag"]]: tuple(line["prediction"].split()) for line in read(file)}
        print(
            f"{file}: {error_rate(predicted, pronunciations):.2%} of the phonemes of {len(predicted)} words"
        )


def read(path: str) -> list[dict]:
    """The lines of a jsonl file."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
