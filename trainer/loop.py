"""The training loop: one ``fit`` per epoch, checkpoints in between.

from seqmill.trainer import train

train(model, "work/g2p/epochs/train", "work/g2p/epochs/dev", num_epochs=10, folder="work/g2p/model")
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras

from seqmill.trainer.corpus import Corpus, check_evaluable, open_corpus
from seqmill.trainer.devices import device_scope
from seqmill.trainer.evaluation import ExtraScores
from seqmill.trainer.follow import FollowedWindows, open_stream
from seqmill.trainer.inputs import BatchToXy
from seqmill.trainer.options import ENDLESS, CleanupPolicy, TrainOptions
from seqmill.trainer.resume import how_to_go_on
from seqmill.trainer.scores import History
from seqmill.trainer.supply import PlannedEpochs
from seqmill.trainer.training import Say, Training
from seqmill.transforms.storage.checked_options import checked
from seqmill.transforms.storage.locks import only_writer
from seqmill.transforms.storage.terminal import printable


def say_line(line: str) -> None:
    """Prints a line."""
    print(printable(line), flush=True)


def train(
    model: keras.Model,
    train: Corpus | str,
    dev: Corpus | str | Mapping[str, Corpus | str] | None = None,
    *,
    num_epochs: int | None,
    folder: str,
    follow: bool = False,
    follow_idle: float | str | None = None,
    remove_windows: bool = False,
    distinct_epochs: int | None = None,
    epochs_ahead: int | None = None,
    save_interval: int = 1,
    save_minutes: float | None = None,
    stop_after: float | str | None = None,
    start_epoch: int | Literal["auto"] = "auto",
    resume: Literal["all", "weights"] = "all",
    init_from: str | None = None,
    cleanup_old_models: bool | Mapping[str, Any] | CleanupPolicy = False,
    stop_on_nonfinite_train_score: bool = True,
    seed: int = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    batch_to_xy: BatchToXy | None = None,
    extra_scores: ExtraScores | None = None,
    say: Say = say_line,
) -> History:
    """Trains a model on stored epochs, going on from the last checkpoint in ``folder``.

    Args:
        model: A compiled model.
        train: The corpus to train on, or its folder.
        dev: A corpus to evaluate after each epoch (named ``dev``), or several by name. Callbacks see the
            scores of the first as ``val_loss`` … and those of all as ``<name>_loss`` ….
        num_epochs: Epochs to train in all; ``None`` where windows are followed: as many as appear.
        folder: The model folder (path or URL), for checkpoints, ``scores.json`` and TensorBoard scalars.
        follow: ``train`` is the folder of a stream: its windows are the epochs, each as it appears.
        follow_idle: See ``TrainOptions``.
        remove_windows: See ``TrainOptions``.
        distinct_epochs: See ``TrainOptions``; so for the options that follow.
        epochs_ahead: See ``TrainOptions``.
        save_interval: See ``TrainOptions``.
        save_minutes: See ``TrainOptions``.
        stop_after: See ``TrainOptions``; counted from this call on.
        start_epoch: See ``TrainOptions``.
        resume: See ``TrainOptions``.
        init_from: See ``TrainOptions``.
        cleanup_old_models: ``True``, a table or a ``CleanupPolicy``.
        stop_on_nonfinite_train_score: See ``TrainOptions``.
        seed: See ``TrainOptions``. The model's initial weights are the caller's.
        callbacks: Keras callbacks; they live across the whole training.
        batch_to_xy: function(batch) → (x, y) or (x, y, sample_weight), where ``batch`` is a dict of columns
            (``seqmill.trainer.epochs.dataset`` with masks); default: ``trainer.inputs.default_batch_to_xy``.
        extra_scores: function(model, corpus) → more scores of a corpus by name (an error rate, say), computed
            after each evaluation and kept with the others.
        say: Takes the progress lines and warnings.

    Returns:
        The scores of every epoch so far.

    Raises:
        SeqmillError: The training cannot go on; the message says why and what to do.
        SystemExit: SIGTERM has arrived, and all is saved.

    >>> import seqmill
    >>> data = keras.Input((None,), name="data", dtype="int32")
    >>> model = keras.Model(data, keras.layers.Dense(17)(keras.layers.Embedding(17, 8)(data)))
    >>> loss = keras.losses.SparseCategoricalCrossentropy(
    ...     from_logits=True, reduction="mean_with_sample_weight"
    ... )
    >>> model.compile("adam", loss)
    >>> history = seqmill.train(
    ...     model, "work/epochs/train", num_epochs=2, folder="work/model", say=lambda line: None
    ... )
    >>> sorted(history.epochs), list(history.epochs[2]["train"])
    ([1, 2], ['loss'])
    """
    options = checked(
        TrainOptions,
        {
            "num_epochs": ENDLESS if follow and num_epochs is None else num_epochs,
            "follow_idle": follow_idle,
            "remove_windows": remove_windows,
            "distinct_epochs": distinct_epochs,
            "epochs_ahead": epochs_ahead,
            "save_interval": save_interval,
            "save_minutes": save_minutes,
            "stop_after": stop_after,
            "start_epoch": start_epoch,
            "resume": resume,
            "init_from": init_from,
            "cleanup_old_models": cleanup_old_models,
            "stop_on_nonfinite_train_score": stop_on_nonfinite_train_score,
            "seed": seed,
        },
    )
    others = dev if isinstance(dev, Mapping) else {"dev": dev} if dev is not None else {}
    opened = {name: _opened(corpus) for name, corpus in others.items()}
    check_evaluable(opened.values())
    if follow and not isinstance(train, Corpus):
        train = open_stream(os.fspath(train), options.follow_idle, say)
    return train_with(
        options,
        model,
        _opened(train),
        opened,
        os.fspath(folder),
        callbacks,
        batch_to_xy,
        extra_scores,
        say,
        follow=follow,
    )


def train_with(
    options: TrainOptions,
    model: keras.Model,
    train: Corpus,
    others: Mapping[str, Corpus],
    folder: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    batch_to_xy: BatchToXy | None = None,
    extra_scores: ExtraScores | None = None,
    say: Say = say_line,
    begun: float | None = None,
    follow: bool = False,
) -> History:
    """``train``, with its options as a ``TrainOptions``; ``stop_after`` counts from ``begun`` (monotonic).

    Where windows are followed, ``train`` is a stream, from ``open_stream``.
    """
    supply = FollowedWindows(train, options, say) if follow else PlannedEpochs(train, options, say)
    begun = time.monotonic() if begun is None else begun
    with only_writer(folder, "training"):
        training = Training(
            model, supply, dict(others), folder, options, batch_to_xy, extra_scores, say, begun
        )
        try:
            with device_scope(model):
                return training.run(callbacks)
        except KeyboardInterrupt:
            say(f"\ninterrupted; {how_to_go_on(folder, options.start_epoch)}")
            raise


def _opened(corpus: Corpus | str) -> Corpus:
    return corpus if isinstance(corpus, Corpus) else open_corpus(corpus)
