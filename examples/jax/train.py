"""Stored epochs in JAX, without Keras or TensorFlow: a small model trained on them.

    python examples/jax/train.py FOLDER [EPOCHS]

FOLDER is ``epochs/<corpus>`` as ``seqmill preprocess`` wrote it, with labels as data key ``classes``: the
model learns to say the next label of a sequence. On several hosts give ``seqmill.batches``
``reader=(jax.process_index(), jax.process_count())``; over hosts add up sums of losses and numbers of labels.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import seqmill

WIDTH, RATE = 64, 0.3


def with_few_shapes(array, multiples=(16, 8)):
    """The array filled with zeros up to multiples: JAX compiles once for every shape."""
    return np.pad(array, [(0, -size % to) for size, to in zip(array.shape, multiples, strict=False)])


def init(num_labels, seed=1):
    """Parameters of a model that says the next label from the two before it."""
    first, second, third = jax.random.split(jax.random.key(seed), 3)
    return {
        "embedding": jax.random.normal(first, (num_labels, WIDTH)),
        "hidden": jax.random.normal(second, (2 * WIDTH, WIDTH)) / WIDTH**0.5,
        "scores": jax.random.normal(third, (WIDTH, num_labels)) / WIDTH**0.5,
    }


def mean_loss(parameters, labels, lengths):
    """The mean loss of all labels but the first of each sequence [B, T]; their sum, and how many they are."""
    embedded = parameters["embedding"][labels[:, :-1]]
    before = jnp.pad(embedded, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    hidden = jnp.tanh(jnp.concatenate([before, embedded], -1) @ parameters["hidden"])
    scores = jax.nn.log_softmax(hidden @ parameters["scores"])
    losses = -jnp.take_along_axis(scores, labels[:, 1:, None], -1)[..., 0]
    mask = jnp.arange(1, labels.shape[1]) < lengths[:, None]
    total, number = jnp.sum(losses * mask), mask.sum()
    return total / jnp.maximum(number, 1), (total, number)


@jax.jit
def step(parameters, labels, lengths):
    """The parameters after a step of plain gradient descent; the sum of losses and the number of labels."""
    gradients, sums = jax.grad(mean_loss, has_aux=True)(parameters, labels, lengths)
    return jax.tree.map(lambda value, slope: value - RATE * slope, parameters, gradients), sums


def main(folder, epochs=3):
    """Trains and prints the loss of each epoch."""
    corpus = seqmill.open_corpus(folder)
    parameters = init(corpus.manifest.data_keys["classes"].num_labels)
    for epoch in range(1, epochs + 1):
        sums = []
        for batch in seqmill.batches(corpus, (epoch - 1) % corpus.num_epochs + 1):
            labels, lengths = map(with_few_shapes, (batch["classes"], batch["classes_lengths"]))
            parameters, both = step(parameters, labels, lengths)
            sums.append(both)
        total, number = (float(sum(column)) for column in zip(*sums, strict=True))
        print(f"epoch {epoch}: loss {total / number:.4f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
