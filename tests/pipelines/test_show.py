"""``show``: which batches, and how they read."""

import io

import numpy as np
import pytest
import xxhash
from plain_options import plain_options

from seqmill.pipelines.show import show
from seqmill.transforms.batches import epoch_manifest, manifest, record
from seqmill.transforms.batches.described_options import describe
from seqmill.transforms.batches.epoch_manifest import EpochManifest, Shard
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.vocab import Vocab, write_vocab
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage.checked_files import Checksum, checksum
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.store.counts import Counts

SPECS = {
    "data": ArraySpec("log_mel", "<f4", (2,)),
    "classes": ArraySpec("words", "<i4", (), 4, "vocab/classes.txt"),
    "raw": ArraySpec("bytes", "|u1", (), 256),
}


OPTIONS = plain_options("data", BatchLimits({}, 2))


def batch(index):
    return PaddedBatch(
        arrays={
            "data": np.arange(16, dtype="<f4").reshape(2, 4, 2),
            "classes": np.array([[2, 3], [3, 0]], "<i4"),
            "raw": np.array([[104, 105], [33, 0]], "|u1"),
        },
        lengths={"data": np.array([4, 2]), "classes": np.array([2, 1]), "raw": np.array([2, 1])},
        seq_tags=[b"tag:smile:0", b"[tag]1"],
        seq_index=np.array([7, 8]),
        chunk_start=np.array([0, 50]),
        batch_index=index,
    )


@pytest.fixture
def output(tmp_path):
    """An output with the corpora ``dev`` (one epoch) and ``train`` (two epochs of three batches)."""
    for corpus, num_epochs in (("dev", 1), ("train", 2)):
        folder = tmp_path / "epochs" / corpus
        epochs = tuple(_write_epoch(folder, epoch) for epoch in range(1, num_epochs + 1))
        vocab = str(folder / "vocab/classes.txt")
        write_vocab(vocab, Vocab(("<pad>", "<unk>", "good", "day")))
        counts, others = Counts(2, 2, {}, {}, {}), {"vocab/classes.txt": checksum(vocab)}
        options = describe(Schedule(OPTIONS, num_epochs))
        content = Manifest(manifest.FORMAT, "", corpus, options, SPECS, counts, epochs, others)
        manifest.write(str(folder), content)
    return tmp_path


def _write_epoch(folder, epoch):
    file = io.BytesIO()
    for index in range(3):
        file.writelines(tfrecord.framed(record.encode(batch(index))))
    content = file.getvalue()
    name = f"epoch-{epoch:04d}/batches-00000-of-00001.tfrecord"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(content)
    planned = Epoch(epoch, "", 6, {}, 3, 2, 6, {}, {})
    shard = Shard(name, 3, len(content), xxhash.xxh3_128_hexdigest(content))
    written = EpochManifest(epoch_manifest.FORMAT, folder.name, planned, Checksum(0, ""), (shard,))
    epoch_manifest.write(str(folder), written)
    return planned


def shown(capsys, path, epoch=1, first_batch=0, num_batches=1, num_seqs=5):
    show(str(path), epoch, first_batch, num_batches, num_seqs)
    return capsys.readouterr().out


def test_a_batch_in_readable_form(output, capsys):
    text = shown(capsys, output / "epochs/dev")
    assert text.splitlines() == [
        "dev batch 0: data [2, 4, 2] float32, 25.0% padding; classes [2, 2] int32, 25.0% padding; "
        "raw [2, 2] uint8, 25.0% padding",
        "  tag:smile:0 (row 7)",
        "    data [4] 0 1 2 3 4 5 … (min 0, mean 3.5, max 7)",
        "    classes [2] good day",
        "    raw [2] hi",
        "  [tag]1 (row 8, frame 50)",
        "    data [2] 8 9 10 11 (min 8, mean 9.5, max 11)",
        "    classes [1] day",
        "    raw [1] !",
    ]


def test_which_batches_and_how_many_sequences(output, capsys):
    text = shown(capsys, output / "epochs/train", first_batch=1, num_batches=9, num_seqs=1)
    assert "batch 0" not in text
    assert text.count("batch 1") == text.count("batch 2") == 1
    assert text.count("… and 1 more") == 2


def test_an_output_folder_shows_every_corpus_that_has_the_epoch(output, capsys):
    assert [line.split()[0] for line in shown(capsys, output).splitlines() if "batch" in line] == [
        "dev",
        "train",
    ]
    text = shown(capsys, output, epoch=2)
    assert "train batch 0" in text
    assert "dev" not in text


def test_one_shard(output, capsys):
    path = output / "epochs/train/epoch-0002/batches-00000-of-00001.tfrecord"
    assert "train batch 2" in shown(capsys, path, first_batch=2)
    with pytest.raises(UsageError, match="no batch 3; it has 3"):
        shown(capsys, path, first_batch=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epoch": 3}, "no epoch 3; dev has epoch 1, train has epochs 1 to 2"),
        ({"first_batch": 3}, "no batch 3 in epoch 1; dev has 3, train has 3, from 0"),
        ({"first_batch": -1}, "--batch: found -1"),
    ],
)
def test_what_is_not_there(output, capsys, arguments, message):
    with pytest.raises(UsageError, match=message):
        shown(capsys, output, **arguments)
