"""Tiny corpora for the public configs: the files that these name, in the formats that they are in."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile

import numpy as np
import soundfile
from public_speech_configs import PUBLIC_SPEECH
from returnn.datasets.hdf import SimpleHDFWriter

WORDS = ("a", "be", "sea", "deed", "eagle")
# How many frames of data each sequence has; classes have one a frame, alignments one for two.
LENGTHS = {
    "train": [2 * int(n) for n in np.random.default_rng(3).integers(1, 16, 40)],
    "dev": [8, 2, 30, 6, 8],
}


def write_hdf(path, lengths, tag="utt", **extra):
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
            writer.insert_batch(data, [length], [f"{tag}-{row}"], extra=others)


def write_lines(path, lengths):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        " ".join(WORDS[(row + n) % len(WORDS)] for n in range(length)) for row, length in enumerate(lengths)
    ]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_vocab(path, *special):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = {label: number for number, label in enumerate((*special, *WORDS))}
    path.write_text(repr(labels))
    path.with_suffix(".pkl").write_bytes(pickle.dumps(labels))  # what RETURNN reads


def write_speech(folder, parts, lengths):
    for number, part in enumerate(parts):
        place = folder / f"{part}/{number}/8"
        place.mkdir(parents=True)
        with (place / f"{number}-8.trans.txt").open("w") as transcripts:
            for row, length in enumerate(lengths[number :: len(parts)]):
                samples = np.random.default_rng(row).integers(-9000, 9000, 240 + 160 * length).astype("i2")
                soundfile.write(place / f"{number}-8-{row:04}.flac", samples, 16000, subtype="PCM_16")
                transcripts.write(f"{number}-8-{row:04} {'ab' * (1 + row % 3)}\n")


def write_zip(path, lengths, rate=16000, frame=160, offset=0, list_beside=False):
    """An archive of OggZipDataset, and maybe its list of entries beside it; ``frame`` samples a frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name, entries = path.name.removesuffix(".zip"), []
    with zipfile.ZipFile(path, "w") as archive:
        for row, length in enumerate(lengths, offset):
            sound = io.BytesIO()
            samples = np.random.default_rng(row).integers(-9000, 9000, frame * length).astype("i2")
            soundfile.write(sound, samples, rate, format="FLAC", subtype="PCM_16")
            file = f"{row:04}.flac"
            # RETURNN's option says that sound lies at the top of such an archive.
            archive.writestr(file if list_beside else f"{name}/{file}", sound.getvalue())
            # Never just under a hundredth of a second, for RETURNN rounds down.
            seconds = frame * length / rate + 0.001
            entries.append(
                {"text": "ab" * (1 + row % 3), "duration": seconds, "file": file, "seq_name": f"utt-{row}"}
            )
        archive.writestr(f"{name}.txt", repr(entries))
    if list_beside:
        (path.parent / f"{name}.txt.gz").write_bytes(gzip.compress(repr(entries).encode()))


def write_bpe(codes, vocab):
    codes.parent.mkdir(parents=True, exist_ok=True)
    codes.write_text("#version: 0.2\na b\n")
    labels = {"<s>": 0, "</s>": 0, "<unk>": 1, "ab@@": 2, "ab": 3, "a@@": 4, "b": 5, "b@@": 6, "a": 7}
    vocab.write_text(repr(labels))


def write_speech_corpus(folder, name):
    """The files that an imported config of ``public_speech_configs`` names."""
    for corpus, lengths in LENGTHS.items():
        if name == "librispeech_ogg":
            data = folder / "data/dataset"
            write_bpe(data / "trans.bpe.codes", data / "trans.bpe.vocab")
            for file in ("stats.mean.txt", "stats.std_dev.txt"):
                np.savetxt(data / file, np.ones(40))
            parts = ("clean-100", "clean-360", "other-500") if corpus == "train" else ("clean", "other")
            for number, part in enumerate(parts):
                path = folder / f"data/dataset-ogg/{corpus}-{part}.zip"
                # No two of dev are equally long: RETURNN shuffles them when it takes a part of them.
                own = lengths[number :: len(parts)] if corpus == "train" else [(9, 4), (7, 12, 3)][number]
                write_zip(path, [length + 2 for length in own], offset=100 * number, list_beside=True)
        elif name == "conformer_ogg":
            bpe = folder / "work/ReturnnTrainBpeJob.Jc3x/output"
            write_bpe(bpe / "bpe.codes", bpe / "bpe.vocab")
            job = {"train": "kjOf", "dev": "Wgp6"}[corpus]
            write_zip(folder / f"work/BlissToOggZipJob.{job}/output/{corpus}.ogg.zip", lengths)
            tags = "".join(f"utt-{row}\n" for row in range(3, 33))
            (folder / f"work/segments.{corpus}").write_text(tags)
        elif name == "hybrid_ogg":
            write_zip(folder / f"work/{corpus}.ogg.zip", lengths, rate=8000, frame=80)
            write_hdf(folder / f"work/{corpus}_alignments.hdf", lengths, classes=1)
        elif name == "meta_order":
            write_hdf(folder / f"{corpus}.hdf", lengths)
            write_hdf(folder / f"align.{corpus}.hdf", lengths, classes=1)
        elif name == "combined_hdf":
            for number, part in enumerate(
                {"train": ("tedlium", "librispeech"), "dev": ("dev-b", "dev-a")}[corpus]
            ):
                for half in (0, 1):
                    own = lengths[2 * number + half :: 4]
                    tag = f"{part}-{half}"
                    write_hdf(folder / f"{part}.{half + 1}.hdf", own, tag=tag, classes=1)
        else:
            write_bpe(folder / "bpe.codes", folder / "bpe.vocab")
            for number, part in enumerate(("synthetic", "real") if corpus == "train" else ("dev",)):
                write_zip(folder / f"{part}.zip", lengths[number::2], offset=100 * number)


def write_corpus(folder, name):
    """The files that an imported config names."""
    if name in PUBLIC_SPEECH:
        write_speech_corpus(folder, name)
        return
    if name == "handwriting":
        write_hdf(folder / "features/raw/train.1.h5", LENGTHS["train"][:30], classes=1, sizes=10**9)
        write_hdf(folder / "features/raw/train.2.h5", LENGTHS["train"][30:], classes=1, sizes=10**9)
        write_hdf(folder / "features/raw/train_valid.h5", LENGTHS["dev"], classes=1, sizes=10**9)
        return
    if name == "librispeech_attention":
        write_bpe(folder / "base/trans.bpe.codes", folder / "base/trans.bpe.vocab")
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
