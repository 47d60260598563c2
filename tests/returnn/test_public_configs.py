"""Public configs of RETURNN: imported, run on a tiny corpus, and batched as RETURNN itself does."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from public_configs import PUBLIC
from public_corpora import write_corpus
from public_speech_configs import PUBLIC_SPEECH
from returnn_corpus import returnn_permutes_like_seqmill
from seqmill_runs import read_epochs
from their_config import TheirConfig, TheirDatasets

from seqmill.pipelines.config import load_config
from seqmill.pipelines.import_returnn.command import imported

IMPORTED = Path(__file__).with_name("imported")
ONLY_TENSORFLOW = {
    "number_conversion": 'chunking = "0" is no chunking in the TensorFlow engine alone',
    "word_lm": "likewise",
    "enwik8": "batch_size = 0 was no limit once, and is refused today",
    "task_12ax": "lines of names and values have no typed options, which the PyTorch engine asks for",
}
# The others have data sets that need programs or corpora which are not here.
OWN_DATA_SETS = ("handwriting", "translation", "word_lm")


@pytest.fixture(scope="module")
def torch_pipeline():
    """RETURNN's own pipeline for PyTorch, of which only base classes are PyTorch's: these are empty here."""
    torch = ModuleType("torch")
    torch.utils, torch.utils.data = ModuleType("torch.utils"), ModuleType("torch.utils.data")  # type: ignore
    torch.utils.data.IterDataPipe = torch.utils.data.IterableDataset = object  # type: ignore
    pinning = ModuleType("returnn.torch.data.pin_memory")
    pinning.PinMemoryDataLoader = object  # type: ignore
    modules = {"torch": torch, "torch.utils": torch.utils, "torch.utils.data": torch.utils.data}  # type: ignore
    spec = importlib.util.find_spec("returnn.torch.data.pipeline")
    with pytest.MonkeyPatch.context() as patch:
        for module, stand_in in {**modules, pinning.__name__: pinning}.items():
            patch.setitem(sys.modules, module, stand_in)
        pipeline = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pipeline)
        yield pipeline


def our_batches(output, corpus):
    """Of each epoch that was written its batches: row, first frame, and frames of each key."""
    return [
        [
            [
                (int(row), int(start), {key: int(column[n]) for key, column in batch.lengths.items()})
                for n, (row, start) in enumerate(zip(batch.seq_index, batch.chunk_start, strict=True))
            ]
            for batch in batches
        ]
        for batches in read_epochs(output, corpus)
    ]


def read_lengths(output, corpus, keys):
    with pa.ipc.open_file(f"{output}/store/{corpus}/lengths.arrow") as file:
        table = file.read_all()
    return {key: table[f"lengths/{key}"].to_numpy() for key in keys}


@pytest.fixture
def preprocessed(tmp_path, seqmill, monkeypatch):
    """function(name, text of a public config) → what is configured: imports it and runs ``preprocess``."""
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.chdir(tmp_path)

    def preprocess(name, text):
        Path("returnn.config").write_text(text)
        text = imported("returnn.config")
        if "SEQMILL_WRITE" in os.environ:
            (IMPORTED / f"{name}.toml").write_text(text)
        assert text == (IMPORTED / f"{name}.toml").read_text()
        Path("config.toml").write_text(text)
        write_corpus(tmp_path, name)
        seqmill.succeeds("preprocess", "config.toml", "--direct_running_mode=in_memory")
        return load_config("config.toml")

    return preprocess


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.usefixtures("file_cache")
def test_public_config(name, preprocessed, torch_pipeline):
    config = preprocessed(name, PUBLIC[name])
    num_batches = 0
    for corpus in ("train", "dev"):
        options = config.corpus[corpus]
        theirs = TheirConfig("returnn.config", read_lengths("work", corpus, config.data), options.length_key)
        for epoch, ours in enumerate(our_batches("work", corpus), 1):
            with returnn_permutes_like_seqmill(run_seed=config.seed):
                expected = theirs.tensorflow_batches(corpus, epoch)
                if name not in ONLY_TENSORFLOW:
                    assert theirs.torch_batches(corpus, epoch, torch_pipeline) == expected
            assert ours == expected
            num_batches += len(ours)
    assert num_batches > 6
    if name in OWN_DATA_SETS:
        assert_own_data_sets_give_the_same(name, config, torch_pipeline)


@pytest.fixture
def file_cache(monkeypatch):
    """RETURNN looks for marked files in options with a library that is not here: there are none."""
    monkeypatch.setitem(sys.modules, "tree", SimpleNamespace(map_structure=lambda _, options: options))


@pytest.mark.parametrize("name", PUBLIC_SPEECH)
@pytest.mark.usefixtures("file_cache")
def test_public_config_of_speech(name, preprocessed, torch_pipeline):
    config = preprocessed(name, PUBLIC_SPEECH[name])
    assert assert_own_data_sets_give_the_same(name, config, torch_pipeline) > 6


def assert_own_data_sets_give_the_same(name, config, torch_pipeline):
    """Here RETURNN's own data sets read the files, so that tags and values are compared, too."""
    theirs = TheirDatasets("returnn.config", config.data)
    if name == "librispeech_ogg":
        theirs.config.typed_value("train")["audio"]["features"] = as_many_frames_as_here
        theirs.config.typed_value("dev")["audio"]["features"] = as_many_frames_as_here
    num_batches = 0
    for corpus in ("train", "dev"):
        for epoch, batches in enumerate(read_epochs("work", corpus), 1):
            ours = [with_values(batch, of_lines=name in ("translation", "word_lm")) for batch in batches]
            all_expected = [theirs.tensorflow_batches(corpus, epoch)]
            if name not in ONLY_TENSORFLOW:
                all_expected.append(theirs.torch_batches(corpus, epoch, torch_pipeline))
            for expected in all_expected:
                assert_same(ours, expected, features_of_its_own=name == "librispeech_ogg")
            num_batches += len(ours)
    return num_batches


def with_values(batch, of_lines):
    """Per entry its tag (of lines of text as RETURNN has it), and its values of each key without padding."""
    return [
        (
            f"line-{batch.seq_index[row]}" if of_lines else tag.decode(),
            {key: array[row, : batch.lengths[key][row]] for key, array in batch.arrays.items()},
        )
        for row, tag in enumerate(batch.seq_tags)
    ]


def as_many_frames_as_here(*, audio, **_):
    """In place of librosa's MFCC, of which the numbers and the frames at both ends are others."""
    return np.zeros((1 + (len(audio) - 400) // 160, 40), "f4")


def assert_same(ours, expected, features_of_its_own):
    assert [[tag for tag, _ in batch] for batch in ours] == [[tag for tag, _ in batch] for batch in expected]
    for our_batch, their_batch in zip(ours, expected, strict=True):
        for (_, values), (_, theirs) in zip(our_batch, their_batch, strict=True):
            for key, array in values.items():
                assert array.shape == theirs[key].shape
                if not (key == "data" and features_of_its_own):
                    np.testing.assert_array_equal(array, theirs[key])
