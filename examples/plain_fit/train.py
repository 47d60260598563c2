"""Your own script with your own data and ``model.fit``; seqmill's three callbacks look after the checkpoints.

    python examples/plain_fit/train.py FOLDER [EPOCHS]

Run it again, with more epochs say, and it goes on from its newest checkpoint.
"""

import sys

import keras
import numpy as np

from seqmill.trainer import CleanupOldModels, SaveCheckpoint, StopOnNonfiniteTrainScore


def data(num_points, seed):
    """Points in a plane, and whether they lie in the unit circle."""
    points = np.random.default_rng(seed).normal(size=(num_points, 2)).astype("float32")
    return points, (np.linalg.norm(points, axis=1) < 1).astype("float32")


def build():
    """A small classifier."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def main(folder, epochs=8):
    """Trains, or goes on training."""
    keras.utils.set_random_seed(1)
    model = build()
    plateau = keras.callbacks.ReduceLROnPlateau(patience=2)
    save = SaveCheckpoint(folder, save_interval=1, callbacks=[plateau])
    done = save.resume(model)
    print(f"{done} of {epochs} epochs are done")
    x, y = data(2000, seed=1)
    model.fit(
        x,
        y,
        validation_data=data(500, seed=2),
        initial_epoch=done,
        epochs=epochs,
        verbose=2,
        callbacks=[
            StopOnNonfiniteTrainScore(folder),
            plateau,
            save,
            CleanupOldModels(folder, keep_last_n=2, keep_best_n=1, keep=()),
        ],
    )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
