"""What Keras needs: reading stored epochs, the training loop, checkpoints, callbacks.

Names are imported when they are first asked for: TensorFlow takes seconds to load.
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "train": "loop",
    "open_corpus": "corpus",
    "batches": "numpy_batches",
    "dataset": "epochs",
    "SaveCheckpoint": "callbacks.save_checkpoint",
    "CleanupOldModels": "callbacks.cleanup_old_models",
    "StopOnNonfiniteTrainScore": "callbacks.stop_on_nonfinite_train_score",
    "NonfiniteTrainScore": "nonfinite",
}

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
