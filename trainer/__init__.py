"""What Keras needs: reading stored epochs, the training loop, checkpoints, callbacks."""

from typing import Any


def __getattr__(name: str) -> Any:
    """``seqmill.trainer.train``, imported when it is first asked for: TensorFlow takes seconds to load."""
    if name == "train":
        from seqmill.trainer.loop import train

        return train
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")
