"""Prints words with the pronunciations that the trained model predicts, next to those of the dictionary.

    python examples/g2p/pronounce.py examples/g2p/work [WORD ...]

Without words it takes some of dev. Uses the checkpoint with the lowest phoneme error rate on dev.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

from seqmill.trainer.import_tensorflow import import_tensorflow

import_tensorflow()  # before the model does, which would tell what TensorFlow tells everybody

from model import build, decode  # noqa: E402

from seqmill.trainer import checkpoints, scores  # noqa: E402
from seqmill.trainer.corpus import open_corpus  # noqa: E402
from seqmill.transforms.features.vocab import read_vocab  # noqa: E402

NUM_WORDS = 12


def main() -> None:
    """Loads the best checkpoint and pronounces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path, help="the output folder of the training")
    parser.add_argument("words", nargs="*", help="words to pronounce")
    args = parser.parse_args()
    corpus = open_corpus(f"{args.output}/epochs/dev")
    model = build(corpus.manifest)
    best = best_checkpoint(f"{args.output}/model")
    model.load_weights(best.weights_file)
    print(f"{best.folder}:")
    vocab = {
        key: read_vocab(f"{corpus.folder}/{spec.vocab}").labels
        for key, spec in corpus.manifest.data_keys.items()
    }
    dictionary = read_dictionary(args.output / "corpus/dev.jsonl")
    words = args.words or sorted(dictionary)[:: max(1, len(dictionary) // NUM_WORDS)][:NUM_WORDS]
    for word, phonemes in zip(words, pronounce(model, words, vocab), strict=True):
        right = dictionary.get(word, set())
        note = (
            ""
            if not right
            else "  right"
            if phonemes in right
            else f"  dictionary: {' | '.join(sorted(right))}"
        )
        print(f"  {word:20} {phonemes}{note}")


def pronounce(model, words: list[str], vocab: dict[str, list[str]]) -> list[str]:
    """The phonemes of each word, separated by spaces."""
    number = {letter: label for label, letter in enumerate(vocab["data"])}
    unknown = [letter for word in words for letter in word if letter not in number]
    if unknown:
        sys.exit(f"{unknown[0]!r} is no letter that the model was trained on")
    letters = np.zeros((len(words), max(map(len, words))), np.int32)
    for row, word in enumerate(words):
        letters[row, : len(word)] = [number[letter] for letter in word]
    return [" ".join(vocab["classes"][label] for label in labels) for labels in decode(model, letters)]


def best_checkpoint(folder: str) -> checkpoints.Checkpoint:
    """The complete checkpoint with the lowest phoneme error rate."""
    found, _ = checkpoints.find(folder)
    history = scores.read(folder)
    if not found or history is None:
        sys.exit(f"{folder}: no checkpoint; run `seqmill train examples/g2p/config.toml`")

    def per(epoch: int) -> float:
        return history.epochs.get(epoch, {}).get("dev", {}).get("per", math.inf)

    return found[min(found, key=per)]


def read_dictionary(path: Path) -> dict[str, set[str]]:
    """Per word its pronunciations."""
    words: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        words.setdefault(record["word"], set()).add(record["phones"])
    return words


if __name__ == "__main__":
    main()
