"""Letters to phonemes: recurrent encoder and decoder with attention, teacher forcing, greedy decoding.

Scored by the phoneme error rate: edit distance between the predicted phonemes and the nearest of a word's
pronunciations, divided by the length of that pronunciation, over all words.
"""

from __future__ import annotations

import functools
from collections import defaultdict

import keras
import numpy as np
from keras import layers, ops
from rapidfuzz.distance import Levenshtein

from seqmill.trainer.epochs import dataset
from seqmill.transforms.features.vocab import read_vocab

WIDTH, DROPOUT = 128, 0.1
PAD, BOS, EOS = 0, 2, 3


def build(manifest) -> keras.Model:
    """Letters [B, T] and the phonemes so far [B, S] to the next phoneme's scores [B, S, phonemes]."""
    return compiled(manifest, WarmUpThenDecay(3e-3, 1500))


def build_by_steps(manifest) -> keras.Model:
    """The same with a learning rate that rises in a tenth of all steps and falls to 0 with the last."""
    warm_up = manifest.num_steps // 10
    decay = keras.optimizers.schedules.CosineDecay(
        0.0, manifest.num_steps - warm_up, warmup_target=3e-3, warmup_steps=warm_up
    )
    return compiled(manifest, decay)


def compiled(manifest, learning_rate) -> keras.Model:
    """The model of ``build``, with a learning rate or a schedule of it."""
    num_letters = manifest.data_keys["data"].num_labels
    num_phonemes = manifest.data_keys["classes"].num_labels
    encoder, decoder = build_encoder(num_letters), build_decoder(num_phonemes)
    letters = keras.Input((None,), dtype="int32", name="letters")
    previous = keras.Input((None,), dtype="int32", name="previous")
    encoded, state = encoder(letters)
    scores, _ = decoder([encoded, letters, previous, state])
    model = keras.Model({"letters": letters, "previous": previous}, scores)
    model.compile(
        keras.optimizers.Adam(learning_rate, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def batch_to_xy(batch):
    """Each phoneme is predicted from those before it; padding has no weight."""
    phonemes = batch["classes"]
    x = {"letters": batch["data"], "previous": phonemes[:, :-1]}
    return x, phonemes[:, 1:], batch["classes_mask"][:, 1:]


def extra_scores(model, corpus) -> dict[str, float]:
    """The phoneme error rate ``per`` on a corpus."""
    pronunciations, predicted = defaultdict(set), {}
    for batch in dataset(corpus, 1).as_numpy_iterator():
        for word, phonemes, guess in zip(
            batch["data"], batch["classes"], decode(model, batch["data"]), strict=True
        ):
            pronunciations[word.tobytes().rstrip(b"\0")].add(tuple(until_eos(phonemes[1:])))
            predicted[word.tobytes().rstrip(b"\0")] = guess
    return {"per": error_rate(predicted, pronunciations)}


def error_rate(predicted, pronunciations) -> float:
    """The phoneme error rate of one guess a word; ``pronunciations``: per word the set of right ones."""
    errors = length = 0
    for word, guess in predicted.items():
        fewest, nearest = min((Levenshtein.distance(guess, right), right) for right in pronunciations[word])
        errors, length = errors + fewest, length + len(nearest)
    return errors / length


def predict(model, batch, corpus) -> list[str]:
    """The phonemes of each word, separated by spaces."""
    phonemes = labels_in(f"{corpus.folder}/{corpus.manifest.data_keys['classes'].vocab}")
    return [" ".join(phonemes[label] for label in labels) for labels in decode(model, batch["data"])]


@functools.cache
def labels_in(vocab: str) -> tuple[str, ...]:
    """The labels in a vocabulary file."""
    return read_vocab(vocab).labels


def decode(model, letters: np.ndarray, max_length: int = 30) -> list[list[int]]:
    """The phonemes that the model finds most likely, one after the other. ``letters``: int32 [B, T]."""
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    encoded, state = encoder.predict_on_batch(letters)
    found = np.full((len(letters), 1), BOS, np.int32)
    while found.shape[1] <= max_length and not (found == EOS).any(1).all():
        scores, state = decoder.predict_on_batch([encoded, letters, found[:, -1:], state])
        found = np.concatenate([found, scores.argmax(-1).astype(np.int32)], 1)
    return [until_eos(row) for row in found[:, 1:]]


def until_eos(labels) -> list[int]:
    """The labels before the first ``</s>`` or padding."""
    labels = [int(label) for label in labels]
    return labels[: next((i for i, label in enumerate(labels) if label in (EOS, PAD)), len(labels))]


def build_encoder(num_letters: int) -> keras.Model:
    """Letters [B, T] to a vector per letter [B, T, 2 WIDTH] and the decoder's first state [B, 2 WIDTH]."""
    letters = keras.Input((None,), dtype="int32")
    recurrent = layers.Bidirectional(layers.GRU(WIDTH, return_sequences=True, return_state=True))
    embedded = layers.Dropout(DROPOUT)(layers.Embedding(num_letters, WIDTH)(letters))
    encoded, forward, backward = recurrent(embedded, mask=ops.not_equal(letters, PAD))
    state = layers.Dense(2 * WIDTH, activation="tanh")(ops.concatenate([forward, backward], -1))
    return keras.Model(letters, [layers.Dropout(DROPOUT)(encoded), state], name="encoder")


def build_decoder(num_phonemes: int) -> keras.Model:
    """Encoded letters, letters [B, T], phonemes [B, S] and a state to scores [B, S, phonemes] and a state."""
    encoded = keras.Input((None, 2 * WIDTH))
    letters = keras.Input((None,), dtype="int32")
    previous = keras.Input((None,), dtype="int32")
    state = keras.Input((2 * WIDTH,))
    embedded = layers.Dropout(DROPOUT)(layers.Embedding(num_phonemes, WIDTH)(previous))
    recurrent = layers.GRU(2 * WIDTH, return_sequences=True, return_state=True)
    decoded, new_state = recurrent(embedded, initial_state=state)
    context = layers.Attention()([decoded, encoded], mask=[None, ops.not_equal(letters, PAD)])
    joined = layers.Dense(2 * WIDTH, activation="tanh")(ops.concatenate([decoded, context], -1))
    scores = layers.Dense(num_phonemes)(layers.Dropout(DROPOUT)(joined))
    return keras.Model([encoded, letters, previous, state], [scores, new_state], name="decoder")


@keras.saving.register_keras_serializable("seqmill_g2p")
class WarmUpThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to ``peak`` in ``warm_up`` steps, then falls with the square root of the step."""

    def __init__(self, peak: float, warm_up: int):
        self.peak, self.warm_up = peak, warm_up

    def __call__(self, step):
        """The learning rate of a step."""
        step = ops.cast(step, "float32") + 1.0
        return self.peak * ops.minimum(step / self.warm_up, ops.sqrt(self.warm_up / step))

    def get_config(self):
        """For saving."""
        return {"peak": self.peak, "warm_up": self.warm_up}
