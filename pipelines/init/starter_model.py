"""Which starter model fits the data keys of a configuration."""

from __future__ import annotations

from importlib.resources import files as package_files

from seqmill.pipelines.init.corpora import Corpora
from seqmill.pipelines.init.field_kinds import Kind
from seqmill.pipelines.init.find_sources import WHOLE
from seqmill.pipelines.init.sample_records import files_of
from seqmill.transforms.readers import declared_labels, split_corpus
from seqmill.transforms.storage.errors import SeqmillError

MODEL_FILE = "model.py"
# By starter model, the score that says which epoch is best, if not the loss.
SCORES = {"ctc": "dev.cer", "seq2seq": "dev.error_rate"}
_WHAT = {
    "ctc": "frames to a text, aligned with it by CTC",
    "one_label": "a sequence to one label",
    "frame_labels": "a label for each frame",
    "seq2seq": "labels to labels, by an encoder and a decoder with attention",
    "next_label": "each label of a text from those before it",
}


def choose_starter(data: Kind, classes: Kind | None, corpora: Corpora) -> tuple[str | None, str]:
    """The name of a starter model, and what it does; None, and why, where none fits.

    Args:
        data: What the data key ``data`` holds.
        classes: What ``classes`` holds, if there is such a key.
        corpora: The corpora, which may say what numbers stand for.
    """
    has_labels = {kind: _has_labels(kind, corpora) for kind in (data, classes) if kind is not None}
    is_frames = data.type in ("log_mel", "floats")
    if not is_frames and not has_labels[data]:
        return None, "the number of labels of data is not known: vocab = FILE in [data.data] says it"
    if classes is None:
        return _named(None if is_frames else "next_label", "there is nothing to predict: no target")
    if not has_labels[classes]:
        what = "its labels are numbers" if classes.type == "ints" else "it holds no labels"
        return None, f"none fits classes, as {what}; vocab = FILE in [data.classes] would name them"
    if classes.is_single:
        return _named("one_label")
    if data.lengths and data.lengths == classes.lengths:
        return _named("frame_labels")
    is_text = classes.type in ("chars", "words")
    if is_frames:
        return _named("ctc" if is_text and data.num_dims + (data.type == "log_mel") > 1 else None)
    return _named("seq2seq" if is_text else None)


def starter_text(name: str) -> str:
    """The model file of a starter model."""
    return package_files("seqmill.pipelines.init.starters").joinpath(f"{name}.py").read_text("utf-8")


def _named(name: str | None, otherwise: str = "none fits these data keys") -> tuple[str | None, str]:
    return (None, otherwise) if name is None else (name, _WHAT[name])


def _has_labels(kind: Kind, corpora: Corpora) -> bool:
    """Whether it is known how many labels there are: counted ones, or those that a file declares."""
    paths = corpora.files["train"]
    if kind.type in ("chars", "words"):
        return True
    if kind.type != "ints" or not isinstance(paths, list):
        return False
    try:
        split = split_corpus(corpora.format, files_of(corpora.format, paths[0])[:1], WHOLE)[0]
        return declared_labels(split, kind.field) is not None
    except SeqmillError:
        return False
