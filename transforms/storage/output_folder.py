"""Where everything is in an output folder. Nothing else builds these paths.

    OUTPUT/store/<corpus>/   manifest.json  sequences-00000.arrow …  lengths.arrow  vocab/  norm/
                             rejected/  receipts/
                             staged/  (only while a pipeline writes it)
           epochs/<corpus>/  manifest.json  vocab/  norm/  rejected/  receipts/
                             routes/  (only while a shuffle runs)
                             planned/  (only while a pipeline writes it)
                             epoch-0001/  manifest.json  plan.arrow  batches-00000-of-00004.tfrecord …
                                          receipts/
                             or, of a stream: stream.json and a folder like epochs/<corpus>/ for each window
           watch/            arrivals.json  window/
           vocab/            <key>.txt  vocab.json  receipts/
           norm/             <key>.json  norm.summary  receipts/
           model/            what a training writes
           predictions/      <corpus>.jsonl
           export/           a model each: epoch-0007/ …

``output`` is the whole of it, ``folder`` one corpus' store or epochs, or the folder of vocabularies or
statistics.
Names, as manifests hold them, are relative to ``folder``.
"""

from __future__ import annotations

import re

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

MANIFEST_NAME = "manifest.json"
LENGTHS_NAME = "lengths.arrow"
VOCAB_SUFFIX, VOCAB_SUMMARY_NAME = ".txt", "vocab.json"
NORM_SUFFIX, NORM_SUMMARY_NAME = ".json", "norm.summary"
HANDED_NAME = "planned"
INGEST, PLAN = "ingest", "plan"  # the steps that reject sequences

_OWN = ("store", "epochs", "vocab", "norm", "model", "predictions", "export", "watch")

_EPOCH_NAME = re.compile(r"epoch-(\d{4,})")
_RECEIPT_NAME = re.compile(r"\d{5,}\.json")


def is_own(output: str, path: str) -> bool:
    """Whether a path is where seqmill writes."""
    return any(path.startswith(f"{folder}/") for folder in own_folders(output))


def store_folder(output: str, corpus: str) -> str:
    """The sequence store of a corpus."""
    return files.join(all_stores_folder(output), corpus)


def all_stores_folder(output: str) -> str:
    """The sequence stores of every corpus, a folder each."""
    return files.join(output, "store")


def epochs_folder(output: str, corpus: str) -> str:
    """The epochs of a corpus."""
    return files.join(all_epochs_folder(output), corpus)


def all_epochs_folder(output: str) -> str:
    """The epochs of every corpus, a folder each."""
    return files.join(output, "epochs")


def store_beside(folder: str, corpus: str) -> str:
    """The sequence store that stands in the same output as a corpus' folder of epochs.

    Raises:
        SeqmillError: ``corpus``, as a manifest has it, leads out of the output.
    """
    if "/" in corpus or corpus in ("", ".", ".."):
        raise SeqmillError(
            f"{folder}: the manifest names the corpus {corpus!r}, which leads outside the output"
        )
    return store_folder(files.parent(files.parent(folder)), corpus)


def counted_vocab_folder(output: str) -> str:
    """The vocabularies that were counted or taken from tokenizers."""
    return files.join(output, "vocab")


def counted_norm_folder(output: str) -> str:
    """The statistics of frames that were counted."""
    return files.join(output, "norm")


def watch_folder(output: str) -> str:
    """What ``seqmill preprocess --watch`` remembers of files, and the window that it is making."""
    return files.join(output, "watch")


def arrivals_path(folder: str) -> str:
    """Which files have become windows, in the folder of the watch."""
    return files.join(folder, "arrivals.json")


def model_folder(output: str) -> str:
    """What a training writes."""
    return files.join(output, "model")


def predictions_path(output: str, corpus: str) -> str:
    """What a model predicts of a corpus."""
    return files.join(output, "predictions", f"{corpus}.jsonl")


def export_folder(output: str, name: str) -> str:
    """A model that was exported; ``name`` tells of which checkpoint."""
    return files.join(output, "export", name)


def own_folders(output: str) -> list[str]:
    """Everything in an output folder that is ours."""
    return [files.join(output, name) for name in _OWN]


def manifest_path(folder: str) -> str:
    """The manifest of a store, written last, or of a corpus' epochs, written first."""
    return files.join(folder, MANIFEST_NAME)


def lengths_path(folder: str) -> str:
    """The length index of a store."""
    return files.join(folder, LENGTHS_NAME)


def store_file_name(split: int) -> str:
    """The Arrow file of a split."""
    return f"sequences-{split:05d}.arrow"


def is_store_file_name(name: str) -> bool:
    """Whether ``store_file_name`` made a name."""
    return name.startswith("sequences-") and name.endswith(".arrow")


def vocab_name(key: str) -> str:
    """The copy of a data key's vocabulary beside a store or epochs."""
    return f"vocab/{key}{VOCAB_SUFFIX}"


def norm_name(key: str) -> str:
    """The copy of the statistics of a data key's frames beside a store or epochs."""
    return f"norm/{key}{NORM_SUFFIX}"


def is_of_data_key(name: str) -> bool:
    """Whether ``vocab_name`` or ``norm_name`` made a name."""
    folder, _, file = name.partition("/")
    return "/" not in file and file.endswith({"vocab": VOCAB_SUFFIX, "norm": NORM_SUFFIX}.get(folder, "/"))


def counted_vocab_path(folder: str, key: str) -> str:
    """A vocabulary in the folder of counted ones."""
    return files.join(folder, f"{key}{VOCAB_SUFFIX}")


def rejected_name(step: str) -> str:
    """The sequences that a step (``INGEST`` or ``PLAN``) could not use, one JSON object a line."""
    return f"rejected/{step}.jsonl"


def rejected_path(folder: str, step: str) -> str:
    """``rejected_name`` in a corpus folder."""
    return files.join(folder, rejected_name(step))


def epoch_name(epoch: int) -> str:
    """The folder of an epoch."""
    return f"epoch-{epoch:04d}"


def epoch_folder(folder: str, epoch: int) -> str:
    """``epoch_name`` in a corpus folder."""
    return files.join(folder, epoch_name(epoch))


def epoch_manifest_path(folder: str, epoch: int) -> str:
    """Written last: an epoch without it is incomplete."""
    return files.join(epoch_folder(folder, epoch), MANIFEST_NAME)


def plan_name(epoch: int) -> str:
    """The plan of an epoch."""
    return f"{epoch_name(epoch)}/plan.arrow"


def plan_path(folder: str, epoch: int) -> str:
    """``plan_name`` in a corpus folder."""
    return files.join(folder, plan_name(epoch))


def epoch_number(name: str) -> int | None:
    """The epoch of which ``epoch_name`` made a name; None where it did not."""
    match = _EPOCH_NAME.fullmatch(name)
    return int(match[1]) if match else None


def shard_name(epoch: int, shard: int, num_shards: int) -> str:
    """The file of a shard, numbered from 0 in its epoch."""
    return f"{epoch_name(epoch)}/batches-{shard:05d}-of-{num_shards:05d}.tfrecord"


def receipts_folder(folder: str) -> str:
    """What tasks leave beside their files: receipts and the like."""
    return files.join(folder, "receipts")


def staged_folder(folder: str) -> str:
    """Sequences that wait for their place in a store."""
    return files.join(folder, "staged")


def arranged_path(folder: str) -> str:
    """What a store is made of that was arranged from staged files."""
    return files.join(receipts_folder(folder), "arranged.json")


def split_receipt_path(folder: str, split: int, kind: str) -> str:
    """What the task of a split leaves, ``kind`` with its suffix."""
    return files.join(receipts_folder(folder), f"{split:05d}-{kind}")


def split_of_receipt(name: str) -> int | None:
    """The split that a name in ``receipts_folder`` belongs to, if any."""
    number = name.partition("-")[0]
    return int(number) if number.isdigit() else None


def segment_receipt_path(folder: str, epoch: int, shard: int) -> str:
    """The receipt of a segment."""
    return files.join(receipts_folder(epoch_folder(folder, epoch)), f"{shard:05d}.json")


def is_segment_receipt_name(name: str) -> bool:
    """Whether ``segment_receipt_path`` made a name; files that are being written have others."""
    return _RECEIPT_NAME.fullmatch(name) is not None


def stream_path(folder: str) -> str:
    """What says that a folder of epochs is a stream of windows (``batches.stream``)."""
    return files.join(folder, "stream.json")


def consumed_path(folder: str) -> str:
    """What a training says that reads epochs while they are written beside it."""
    return files.join(folder, "consumed.json")


def writer_path(folder: str) -> str:
    """What their writer says."""
    return files.join(folder, "writer.json")


def run_path(folder: str) -> str:
    """Which run the folder belongs to."""
    return files.join(receipts_folder(folder), "run.json")


def progress_folder(folder: str) -> str:
    """Where workers report how far they are."""
    return files.join(folder, "progress")


def routes_folder(folder: str) -> str:
    """Where the sequences of the store go, while a shuffle brings them."""
    return files.join(folder, "routes")


def routes_path(folder: str, epoch: int) -> str:
    """The routes of an epoch."""
    return files.join(routes_folder(folder), f"{epoch_name(epoch)}.i32")


def handed_folder(folder: str) -> str:
    """Where a step of a pipeline leaves its plan for a later one."""
    return files.join(folder, HANDED_NAME)


def handed_list_path(folder: str) -> str:
    """The epochs of that plan."""
    return files.join(handed_folder(folder), "epochs.json")


def handed_plan_path(folder: str, epoch: int) -> str:
    """The plan of one of them."""
    return files.join(handed_folder(folder), f"{epoch_name(epoch)}.arrow")


def failure_path(folder: str, run_id: str) -> str:
    """Why the tasks of a run failed, for its driver to read before it removes the progress of the run."""
    return files.join(progress_folder(folder), f"{run_id}.failure")
