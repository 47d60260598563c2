"""Raw sequence corpora to pre-batched epochs on any Beam runner, and Keras models trained on them.

The names below are the public ones; ``docs/api.md`` lists them. Each is imported when it is first asked for:
``import seqmill`` alone loads neither Apache Beam nor TensorFlow nor Arrow.
"""

from __future__ import annotations

TYPE_CHECKING = False  # that of ``typing``, which is not loaded before a command can be interrupted
if TYPE_CHECKING:
    from typing import Any

    from seqmill.pipelines.config import load_config as load_config
    from seqmill.pipelines.ingest import ingest as ingest
    from seqmill.pipelines.plan import plan as plan
    from seqmill.pipelines.preprocess import preprocess as preprocess
    from seqmill.pipelines.verify import verify as verify
    from seqmill.trainer.callbacks.cleanup_old_models import CleanupOldModels as CleanupOldModels
    from seqmill.trainer.callbacks.save_checkpoint import SaveCheckpoint as SaveCheckpoint
    from seqmill.trainer.callbacks.stop_on_nonfinite_train_score import (
        StopOnNonfiniteTrainScore as StopOnNonfiniteTrainScore,
    )
    from seqmill.trainer.corpus import Corpus as Corpus
    from seqmill.trainer.corpus import open_corpus as open_corpus
    from seqmill.trainer.device_losses import mean_over_batch as mean_over_batch
    from seqmill.trainer.epochs import dataset as dataset
    from seqmill.trainer.loop import train as train
    from seqmill.trainer.nonfinite import NonfiniteTrainScore as NonfiniteTrainScore
    from seqmill.trainer.numpy_batches import NumpyBatches as NumpyBatches
    from seqmill.trainer.numpy_batches import batches as batches
    from seqmill.trainer.options import CleanupPolicy as CleanupPolicy
    from seqmill.transforms.batches.manifest import Manifest as Manifest
    from seqmill.transforms.batches.manifest import read as read_manifest  # noqa: F401
    from seqmill.transforms.batches.padded_batch import PaddedBatch as PaddedBatch
    from seqmill.transforms.batches.read_batches import read_epoch as read_epoch
    from seqmill.transforms.features.vocab import Vocab as Vocab
    from seqmill.transforms.features.vocab import read_vocab as read_vocab
    from seqmill.transforms.planning.batch import BatchLimits as BatchLimits
    from seqmill.transforms.planning.batch import cut_batches as cut_batches
    from seqmill.transforms.planning.chunk import KeyChunking as KeyChunking
    from seqmill.transforms.planning.chunk import parse_chunking as parse_chunking
    from seqmill.transforms.planning.drop import LengthLimits as LengthLimits
    from seqmill.transforms.planning.order import Ordering as Ordering
    from seqmill.transforms.planning.order import epoch_order as epoch_order
    from seqmill.transforms.planning.order import parse_ordering as parse_ordering
    from seqmill.transforms.planning.permutation import Permutation as Permutation
    from seqmill.transforms.planning.plan import EpochOptions as EpochOptions
    from seqmill.transforms.planning.plan import EpochPlan as EpochPlan
    from seqmill.transforms.planning.plan import plan_epoch as plan_epoch
    from seqmill.transforms.planning.plan import select as select
    from seqmill.transforms.planning.schedule import Schedule as Schedule
    from seqmill.transforms.planning.schedule import Stretch as Stretch
    from seqmill.transforms.planning.schedule import parse_epochs as parse_epochs
    from seqmill.transforms.storage.errors import SeqmillError as SeqmillError
    from seqmill.transforms.storage.errors import UsageError as UsageError
    from seqmill.transforms.store.sequence_store import Store as Store

_HOMES = {
    "BatchLimits": "transforms.planning.batch",
    "CleanupOldModels": "trainer.callbacks.cleanup_old_models",
    "CleanupPolicy": "trainer.options",
    "Corpus": "trainer.corpus",
    "EpochOptions": "transforms.planning.plan",
    "EpochPlan": "transforms.planning.plan",
    "KeyChunking": "transforms.planning.chunk",
    "LengthLimits": "transforms.planning.drop",
    "Manifest": "transforms.batches.manifest",
    "NonfiniteTrainScore": "trainer.nonfinite",
    "NumpyBatches": "trainer.numpy_batches",
    "Ordering": "transforms.planning.order",
    "PaddedBatch": "transforms.batches.padded_batch",
    "Permutation": "transforms.planning.permutation",
    "SaveCheckpoint": "trainer.callbacks.save_checkpoint",
    "Schedule": "transforms.planning.schedule",
    "SeqmillError": "transforms.storage.errors",
    "StopOnNonfiniteTrainScore": "trainer.callbacks.stop_on_nonfinite_train_score",
    "Store": "transforms.store.sequence_store",
    "Stretch": "transforms.planning.schedule",
    "UsageError": "transforms.storage.errors",
    "Vocab": "transforms.features.vocab",
    "batches": "trainer.numpy_batches",
    "cut_batches": "transforms.planning.batch",
    "dataset": "trainer.epochs",
    "epoch_order": "transforms.planning.order",
    "ingest": "pipelines.ingest",
    "load_config": "pipelines.config",
    "mean_over_batch": "trainer.device_losses",
    "open_corpus": "trainer.corpus",
    "parse_chunking": "transforms.planning.chunk",
    "parse_ordering": "transforms.planning.order",
    "parse_epochs": "transforms.planning.schedule",
    "plan": "pipelines.plan",
    "plan_epoch": "transforms.planning.plan",
    "preprocess": "pipelines.preprocess",
    "read_epoch": "transforms.batches.read_batches",
    "read_manifest": "transforms.batches.manifest:read",
    "read_vocab": "transforms.features.vocab",
    "select": "transforms.planning.plan",
    "train": "trainer.loop",
    "verify": "pipelines.verify",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("seqmill")
    if name not in _HOMES:
        raise AttributeError(f"module 'seqmill' has no attribute {name!r}")
    import importlib

    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"seqmill.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
