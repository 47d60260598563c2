"""A model to begin with: labels to labels by encoder and decoder; scored by ``error_rate``.

Written by `seqmill init --model`; the file is yours. docs/training.md says what else it may hold.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

import seqmill

WIDTH = 128  # of the vectors between the layers: wider for more data
DROPOUT = 0.1
LEARNING_RATE = 2e-3
LONGEST = 200  # labels that are written at most
PAD, BOS, EOS = 0, 2, 3  # as `bos = true` and `eos = true` of the target number them


def build(manifest: seqmill.Manifest) -> keras.Model:
    """Labels [B, T] and those written so far [B, S] to the scores of the next one [B, S, labels]."""
    encoder = build_encoder(manifest.data_keys["data"].num_labels)
    decoder = build_decoder(manifest.data_keys["classes"].num_labels)
    source = keras.Input((None,), dtype="int32", name="source")
    previous = keras.Input((None,), dtype="int32", name="previous")
    encoded, state = encoder(source)
    scores, _ = decoder([encoded, source, previous, state])
    model = keras.Model({"source": source, "previous": previous}, scores)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"], jit_compile=False)
    return model


def build_encoder(num_labels: int | None) -> keras.Model:
    """Labels [B, T] to a vector for each [B, T, 2 WIDTH] and the decoder's first state [B, 2 WIDTH]."""
    source = keras.Input((None,), dtype="int32")
    recurrent = layers.Bidirectional(layers.GRU(WIDTH, return_sequences=True, return_state=True))
    embedded = layers.Dropout(DROPOUT)(layers.Embedding(num_labels, WIDTH)(source))
    encoded, forward, backward = recurrent(embedded, mask=ops.not_equal(source, PAD))
    state = layers.Dense(2 * WIDTH, activation="tanh")(ops.concatenate([forward, backward], -1))
    return keras.Model(source, [layers.Dropout(DROPOUT)(encoded), state], name="encoder")


def build_decoder(num_labels: int | None) -> keras.Model:
    """What is encoded, and what is written so far, to scores [B, S, labels] and a state."""
    encoded = keras.Input((None, 2 * WIDTH))
    source = keras.Input((None,), dtype="int32")
    previous = keras.Input((None,), dtype="int32")
    state = keras.Input((2 * WIDTH,))
    embedded = layers.Dropout(DROPOUT)(layers.Embedding(num_labels, WIDTH)(previous))
    recurrent = layers.GRU(2 * WIDTH, return_sequences=True, return_state=True)
    decoded, new_state = recurrent(embedded, initial_state=state)
    context = layers.Attention()([decoded, encoded], mask=[None, ops.not_equal(source, PAD)])
    joined = layers.Dense(2 * WIDTH, activation="tanh")(ops.concatenate([decoded, context], -1))
    scores = layers.Dense(num_labels)(layers.Dropout(DROPOUT)(joined))
    return keras.Model([encoded, source, previous, state], [scores, new_state], name="decoder")


def batch_to_xy(batch: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Each label is predicted from those before it; padding does not count."""
    labels = batch["classes"]
    x = {"source": batch["data"], "previous": labels[:, :-1]}
    return x, labels[:, 1:], batch["classes_mask"][:, 1:]


def predict(model: keras.Model, batch: dict[str, Any], corpus: seqmill.Corpus) -> list[str]:
    """The text of each sequence, for `seqmill predict`."""
    key = corpus.manifest.data_keys["classes"]
    labels = seqmill.read_vocab(f"{corpus.folder}/{key.vocab}").labels
    between = "" if key.type == "chars" else " "
    return [between.join(labels[label] for label in row) for row in decode(model, batch["data"])]


def extra_scores(model: keras.Model, corpus: seqmill.Corpus) -> dict[str, float]:
    """``error_rate``: labels wrong, missing and too many, as a share of those that are right."""
    wrong = number = 0
    for batch in seqmill.dataset(corpus, 1).as_numpy_iterator():
        for found, right in zip(decode(model, batch["data"]), batch["classes"], strict=True):
            expected = until_eos(right[1:])
            wrong, number = wrong + edit_distance(found, expected), number + len(expected)
    return {"error_rate": wrong / max(number, 1)}


def decode(model: keras.Model, source: np.ndarray) -> list[list[int]]:
    """The label that is most likely, one after the other. ``source``: int32 [B, T]."""
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    encoded, state = encoder.predict_on_batch(source)
    found = np.full((len(source), 1), BOS, np.int32)
    while found.shape[1] <= LONGEST and not (found == EOS).any(1).all():
        scores, state = decoder.predict_on_batch([encoded, source, found[:, -1:], state])
        found = np.concatenate([found, scores.argmax(-1).astype(np.int32)], 1)
    return [until_eos(row) for row in found[:, 1:]]


def until_eos(labels: Any) -> list[int]:
    """The labels before the first ``</s>`` or padding."""
    found = [int(label) for label in labels]
    return found[: next((i for i, label in enumerate(found) if label in (EOS, PAD)), len(found))]


def edit_distance(found: list[int], right: list[int]) -> int:
    """The fewest labels to change, put in or leave out that make one sequence the other."""
    costs = list(range(len(right) + 1))
    for row, one in enumerate(found, 1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(right, 1):
            best = min(costs[column] + 1, costs[column - 1] + 1, diagonal + (one != other))
            diagonal, costs[column] = costs[column], best
    return costs[-1]
