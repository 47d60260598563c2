"""Public configs of RETURNN: imported, run on a tiny corpus, and batched as RETURNN itself does."""

from __future__ import annotations

import gzip
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from public_configs import PUBLIC
from returnn.config import Config
from returnn.datasets.basic import Dataset
from returnn.datasets.generating import StaticDataset
from returnn.datasets.hdf import SimpleHDFWriter
from returnn_corpus import returnn_permutes_like_seqmill
from seqmill_runs import read_epochs

from seqmill.pipelines.config import load_config
from seqmill.pipelines.import_returnn.command import imported

IMPORTED = Path(__file__).with_name("imported")
WORDS = ("a", "be", "sea", "deed", "eagle")
# How many frames of data each sequence has; classes have one a frame, alignments one for two.
LENGTHS = {
    "train": [2 * int(n) for n in np.random.default_rng(3).integers(1, 16, 40)],
    "dev": [8, 2, 30, 6, 8],
}
ONLY_TENSORFLOW = {
    "number_conversion": 'chunking = "0" is no chunking in the TensorFlow engine alone',
    "word_lm": "likewise",
    "enwik8": "batch_size = 0 was no limit once, and is refused today",
    "task_12ax": "lines of names and values have no typed options, which the PyTorch engine asks for",
}


def write_hdf(path, lengths, **extra):
    """An HDF file with data of 3 numbers a frame, or labels, and other keys: frames per label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(1)
    labels = extra.pop("labels", False)
    with SimpleHDFWriter(
        str(path),
        dim=5 if labels else 3,
        ndim=1 if labels else 2,
        extra_type=dict.fromkeys(extra, (5, 1, "int32")),
    ) as writer:
        for row, length in enumerate(lengths):
            shape = (1, length) if labels else (1, length, 3)
            data = numbers.integers(0, 5, shape).astype("i4") if labels else numbers.random(shape, "f4")
            others = {key: np.full((1, -(-length // one)), row % 5, "i4") for key, one in extra.items()}
            writer.insert_batch(data, [length], [f"utt-{row}"], extra=others)


def write_lines(path, lengths):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        " ".join(WORDS[(row + n) % len(WORDS)] for n in range(length)) for row, length in enumerate(lengths)
    ]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_vocab(path, *special):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(repr({label: number for number, label in enumerate((*special, *WORDS))}))


def write_speech(folder, parts, lengths):
    for number, part in enumerate(parts):
        place = folder / f"{part}/{number}/8"
        place.mkdir(parents=True)
        with (place / f"{number}-8.trans.txt").open("w") as transcripts:
            for row, length in enumerate(lengths[number :: len(parts)]):
                samples = np.random.default_rng(row).integers(-9000, 9000, 240 + 160 * length).astype("i2")
                soundfile.write(place / f"{number}-8-{row:04}.flac", samples, 16000, subtype="PCM_16")
                transcripts.write(f"{number}-8-{row:04} {'ab' * (1 + row % 3)}\n")


def write_corpus(folder, name):
    """The files that an imported config names."""
    if name == "handwriting":
        write_hdf(folder / "features/raw/train.1.h5", LENGTHS["train"][:30], classes=1, sizes=10**9)
        write_hdf(folder / "features/raw/train.2.h5", LENGTHS["train"][30:], classes=1, sizes=10**9)
        write_hdf(folder / "features/raw/train_valid.h5", LENGTHS["dev"], classes=1, sizes=10**9)
        return
    if name == "librispeech_attention":
        (folder / "base").mkdir()
        (folder / "base/trans.bpe.codes").write_text("#version: 0.2\na b\n")
        (folder / "base/trans.bpe.vocab").write_text(
            repr({"<s>": 0, "</s>": 0, "<unk>": 1, "ab@@": 2, "ab": 3, "a@@": 4, "b": 5, "b@@": 6, "a": 7})
        )
    for corpus, lengths in LENGTHS.items():
        if name == "translation":
            for side in ("source", "target"):
                write_lines(folder / f"base/dataset/{side}.{corpus}", lengths)
                write_vocab(folder / f"base/dataset/{side}.vocab.txt", "</S>")
        elif name == "word_lm":
            write_lines(
                folder / {"train": "data/train.lm.txt.gz", "dev": "data/dev.clean.txt"}[corpus], lengths
            )
            write_vocab(folder / "data/vocab.word.txt", "<sb>", "<UNK>")
        elif name == "librispeech_attention":
            parts = ("clean-100", "clean-360", "other-500") if corpus == "train" else ("clean", "other")
            write_speech(folder / "base/LibriSpeech", [f"{corpus}-{part}" for part in parts], lengths)
        elif name == "transducer_aligned":
            tags = "".join(f"utt-{row}\n" for row in range(len(lengths)))
            (folder / "base").mkdir(exist_ok=True)
            (folder / {"train": "base/seg_train", "dev": "base/seg_cv"}[corpus]).write_text(tags)
            halves = [length // 2 for length in lengths]
            write_hdf(folder / f"base/ctcalign.prior0.epoch-150.data-{corpus}.hdf", halves, labels=True)
            write_hdf(folder / f"{corpus}.sprint.hdf", lengths)
        elif name == "transducer_baseline":
            for file in (corpus, f"{corpus}train"):
                write_hdf(folder / f"{file}.hdf", lengths, bpe=1)
        else:
            labels = name in ("number_conversion", "enwik8")
            write_hdf(folder / f"{corpus}.hdf", lengths, classes=1, labels=labels)


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


class TheirConfig:
    """A config as RETURNN reads it, which executes it, and its batches of our sequences."""

    def __init__(self, path, lengths, length_key):
        self.config = Config()
        self.config.load_file(str(path))
        self.lengths, self.length_key = lengths, length_key

    def dataset(self, corpus, epoch):
        """As ``returnn.__main__.load_data`` makes it, but for the class, so that its lengths are ours."""
        defaults = {"train": Dataset.get_default_kwargs_train, "dev": Dataset.get_default_kwargs_eval}
        options = defaults[corpus](config=self.config)
        given = self.config.typed_value(corpus) or {}
        given = given if isinstance(given, dict) else {}
        if given.get("class") == "MetaDataset":
            given = {"seq_ordering": "default", **given["datasets"][given["seq_order_control_dataset"]]}
        options |= {k: given[k] for k in ("seq_ordering", "fixed_random_seed") if k in given}
        options["partition_epoch"] = given.get("partition_epoch", given.get("partitionEpoch"))
        Dataset.kwargs_update_from_config(self.config, options)
        rows = zip(*(column.tolist() for column in self.lengths.values()), strict=True)
        data = [{key: np.arange(n) for key, n in zip(self.lengths, row, strict=True)} for row in rows]
        dataset = StaticDataset(data=data, output_dim=dict.fromkeys(self.lengths, (1, 1)), **options)
        order = dataset.get_seq_order_for_epoch(
            epoch, len(data), lambda row: int(self.lengths[self.length_key][row])
        )
        dataset.init_seq_order(epoch=epoch, seq_order=[int(row) for row in order])
        return dataset

    def tensorflow_batches(self, corpus, epoch):
        """As ``returnn.tf.engine`` has them."""
        dataset = self.dataset(corpus, epoch)
        order = dataset.get_current_seq_order()
        size = self.config.typed_value("batch_size") if self.config.is_typed("batch_size") else None
        batches = dataset._generate_batches(
            recurrent_net=True,
            batch_size=int(self.config.value("batch_size", 1)) if size is None else size or sys.maxsize,
            max_seqs=self.config.int("max_seqs", -1),
            max_seq_length=self.config.typed_value("max_seq_length", None) or sys.maxsize,
        )
        return [
            [
                self._entry(order[part.seq_idx], part.seq_start_frame, part.seq_end_frame)
                for part in batch.seqs
            ]
            for batch in batches
        ]

    def _entry(self, row, start, end):
        frames = {key: int(end[key]) - int(start[key]) for key in self.lengths}
        return int(row), int(start[self.length_key]), frames

    def torch_batches(self, corpus, epoch, pipeline):
        """As ``returnn.torch.engine`` has them."""
        dataset = self.dataset(corpus, epoch)
        order = dataset.get_current_seq_order()
        pipe = [{**dataset.data[row], "seq_idx": np.array(row)} for row in order]
        longest = self.config.typed_value("max_seq_length", None)
        if longest is not None:
            pipe = pipeline.LenFilterDataPipe(pipe, max_seq_length=longest)
        if (chunking := self.config.typed_value("chunking", None)) and corpus == "train":
            pipe = pipeline.ChunkingIterDataPipe(pipe, chunking)
        pipe = pipeline.get_batching_iterable_dataset_from_config(
            dataset=pipe, config=self.config, train=corpus == "train"
        )
        return [
            [
                (int(one["seq_idx"]), int(one[self.length_key][0]), {k: len(one[k]) for k in self.lengths})
                for one in batch
            ]
            for batch in pipe
        ]


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


@pytest.mark.parametrize("name", PUBLIC)
def test_public_config(name, tmp_path, seqmill, monkeypatch, torch_pipeline):
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("returnn.config").write_text(PUBLIC[name])
    text = imported("returnn.config")
    if "SEQMILL_WRITE" in os.environ:
        (IMPORTED / f"{name}.toml").write_text(text)
    assert text == (IMPORTED / f"{name}.toml").read_text()

    Path("config.toml").write_text(text)
    write_corpus(tmp_path, name)
    seqmill.succeeds("preprocess", "config.toml", "--direct_running_mode=in_memory")
    config = load_config("config.toml")
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
