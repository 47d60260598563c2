"""What a step makes of some input never changes while its version stays, or a rerun would keep old files.

Where this fails on purpose, raise the step's number in its CODE_VERSION(S) and write what the message says
into golden/code_versions.json.
"""

import io
import json
import tarfile
import zipfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from seqmill.transforms import features, readers
from seqmill.transforms.batches import record
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.features import (
    Ragged,
    Vocab,
    make_encoder,
    normalized_frames,
    small_elements,
    text_steps,
)
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.frame_sums import FrameSums
from seqmill.transforms.features.vocab import build_vocab
from seqmill.transforms.features.vocab import count_labels as count
from seqmill.transforms.planning import plan
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.readers import open_split, split_corpus
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.store import count_frames, count_labels, store_writer

GOLDEN = Path(__file__).with_name("golden") / "code_versions.json"
LABELS = Vocab(("<pad>", "<unk>", "<s>", "</s>", "a", "b", "é"))
VALUES = {
    "ints": [3, [1, 2, 3]],
    "floats": [[0.1, 2.5], 3],
    "bytes": ["héllo", "x"],
    "chars": ["abé?", "b"],
    "words": ["a b  é z", "a"],
    "subwords": ["a b", "c"],
    "sentencepiece": ["the cat sat", "the dog"],
    "audio": None,
    "log_mel": None,
    "mfcc": None,
}
TEXT = 'a,b\n"x, ""y""",1\n\xe9,\n\nlast,-2.5'.encode()
INPUTS = {
    "jsonl": b'{"a": "x", "b": [1, 2.5]}\n\n{"a": "\xc3\xa9", "b": null}\nnot JSON\n{"a": 1}',
    "text": b"x y\n\n\xc3\xa9\r\n\xff\nlast",
    "csv": TEXT,
    "tsv": TEXT.replace(b",", b"\t"),
}


def expect(step, version, content):
    """Compares with the golden file."""
    found = {"version": version, "xxh128": xxhash.xxh3_128_hexdigest(content)}
    assert json.loads(GOLDEN.read_text()).get(step) == found, f'"{step}": {json.dumps(found)}'


@pytest.mark.parametrize("name", readers.FORMATS)
def test_reader(tmp_path, name):
    path = tmp_path / "input"
    if name == "parquet":
        pq.write_table(pa.table({"a": ["x", None, "é"], "b": [[1, 2], [], [3]]}), path)
    elif name in WRITERS:
        WRITERS[name](path)
    else:
        path.write_bytes(INPUTS[name])
    files = {"a": [str(path)], "b": [str(path)]} if name == "text" else [str(path)]
    records = [
        found
        for split in split_corpus(name, files, 1 << 20, fields=["a", "b"] if name == "kaldi" else [])
        for found in open_split(split, ["a", "b"])
    ]
    plain = [(position, _plain(content)) for position, content in records]
    expect(f"readers/{name}", readers.FORMATS[name].version, json.dumps(plain).encode())


@pytest.mark.parametrize("name", features.CODE_VERSIONS)
def test_encoder(tmp_path, name):
    values, options = VALUES[name], {}
    if name == "subwords":
        tokenizers = pytest.importorskip("tokenizers")
        tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "a": 1, "b": 2}, "<unk>"))
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        options["tokenizer"] = str(tmp_path / "tokenizer.json")
    elif name == "sentencepiece":
        pytest.importorskip("sentencepiece")
        options["tokenizer"] = str(GOLDEN.with_name("sentencepiece.model"))
    elif values is None:
        values = [_wav(1), _wav(2)]
    key_type = "subwords" if name == "sentencepiece" else name
    key = DataKey("x", "x", key_type, eos=name in ("chars", "words"), **options)
    shape = (40,) if name == "log_mel" else ()
    encoder = make_encoder(key, "", LABELS if name in ("chars", "words") else None, shape)
    arrays = [encoder.encode(value) for value in values]
    expect(f"features/{name}", features.CODE_VERSIONS[name], _to_a_few_digits(arrays))


def test_normalization():
    frames = np.array([[1, -3], [2, 0.1], [4, 1e-3]], "f4")
    arrays = []
    for normalization, norm in (("sequence", None), ("global", features.Norm((1.0, 0.5), (3.0, 0.0)))):
        key = DataKey("x", "x", "floats", normalization=normalization)
        arrays.append(make_encoder(key, "", None, (2,), norm=norm).encode(frames))
    expect(
        "features/normalized_frames",
        normalized_frames.CODE_VERSION,
        b"".join(map(np.ndarray.tobytes, arrays)),
    )
    sums = FrameSums(2)
    sums.add(frames)
    content = json.dumps([sums.content(), asdict(sums.norm())]).encode()
    expect("store/count_frames", count_frames.CODE_VERSION, content)


def test_processed_sound():
    key = DataKey("x", "x", "audio", preemphasis=0.9, peak_normalization=True)
    arrays = [make_encoder(key, "", None, ()).encode(_wav(2))]
    expect("features/audio/processed", features.CODE_VERSIONS["audio"], _to_a_few_digits(arrays))


def _to_a_few_digits(arrays):
    # To a few digits, as processors differ in the last ones of a logarithm.
    content = [(array.dtype.str, array.shape, np.round(array, 3).tolist()) for array in arrays]
    return json.dumps(content).encode()


def test_normalize():
    steps = text_steps.check_steps([*text_steps.STEPS, {"regex": "(S)(S)", "replace": "\\2-\\0"}])
    texts = ["Straße ﬁ É E\u0301", "ss SS"]
    made = [text_steps.apply_steps([step], texts) for step in steps]
    made.append(text_steps.apply_steps(steps, texts))
    expect("features/normalize", text_steps.CODE_VERSION, json.dumps(made).encode())


def test_small_elements():
    numbers = np.array([0.1, -1 / 3, 1.99951172, 1e-8, 0.00390625, -0.99998], "f4")
    content = b"".join(
        small_elements.narrow(numbers, dtype).tobytes() for dtype in ("<f2", "bfloat16", "<i2")
    )
    expect("features/small_elements", small_elements.CODE_VERSION, content)


def test_store_writer():
    specs = {"x": ArraySpec("floats", "<f4", (2,)), "y": ArraySpec("ints", "<i4", ())}
    arrays = {
        "x": Ragged(np.arange(6, dtype="f4").reshape(3, 2), np.array([1, 2], np.int32)),
        "y": Ragged(np.arange(3, dtype="i4"), np.array([2, 1], np.int32)),
    }
    columns = []
    for has_tags in (False, True):
        file = io.BytesIO()
        writer = store_writer.StoreWriter(file, specs, has_tags)
        writer.append(arrays, ["a", "é"] if has_tags else [0, 2])
        writer.close()
        # Not the bytes, which are Arrow's to choose.
        table = pa.ipc.open_file(pa.py_buffer(file.getvalue())).read_all()
        columns += [table.to_pydict(), writer.index.to_pydict(), str(table.schema)]
    expect("store/store_writer", store_writer.CODE_VERSION, json.dumps(columns).encode())


def test_count_labels():
    counts = Counter()
    count(DataKey("x", "x", "words"), ["a b b", "é é a"], counts)
    vocab = build_vocab(counts, DataKey("x", "x", "words", bos=True, eos=True))
    expect("store/count_labels", count_labels.CODE_VERSION, json.dumps(vocab.labels).encode())


def test_planning():
    lengths = {"x": np.arange(1, 60) * 7 % 31 + 1, "y": np.arange(1, 60) % 5 + 1}
    content = b""
    for ordering in ("default", "reverse", "random", "random:3", "sorted", "sorted_reverse", "laplace:.5"):
        for rules in ({}, {"x": KeyChunking(7, 5, 2)}):
            options = plan.EpochOptions(
                ordering=parse_ordering(ordering),
                length_key="x",
                length_limits=LengthLimits({"x": 28}, {"x": 2}),
                chunking=rules,
                batch_limits=BatchLimits({"x": 90, "y": 40}, 8),
                seed=1,
                fixed_random_seed=None,
                partition_epoch=2,
                num_shards=None,
                shard_size=1000,
            )
            selection = plan.select(lengths, options)
            for epoch in (1, 2, 3):
                planned = plan.plan_epoch(selection, options, epoch)
                chunk = [] if planned.chunk is None else planned.chunk.tolist()
                parts = (planned.seq_index.tolist(), planned.batch_starts.tolist(), chunk)
                content += json.dumps(parts).encode()
    expect("planning/plan", plan.CODE_VERSION, content)


def test_record():
    batch = PaddedBatch(
        arrays={"x": np.arange(6, dtype="f4").reshape(2, 3), "y": np.ones((2, 1, 2), "i4")},
        lengths={"x": np.array([3, 2]), "y": np.array([1, 1])},
        seq_tags=[b"a:1", b"\xc3\xa9"],
        seq_index=np.array([300, 0]),
        chunk_start=np.array([0, 5]),
        batch_index=7,
    )
    expect("batches/record", record.CODE_VERSION, b"".join(bytes(piece) for piece in record.encode(batch)))


def _plain(content):
    if isinstance(content, RejectedSequence):
        return content.reason
    return {name: _value(content[name]) for name in ("a", "b") if name in content}


def _value(value):
    value = value.tolist() if hasattr(value, "tolist") else value
    return value if isinstance(value, (int, float, list)) else repr(value)


def _wav(channels):
    samples = (np.sin(np.arange(1600 * channels) / 9) * 20000).astype("<i2").tobytes()
    head = b"WAVEfmt " + (16).to_bytes(4, "little") + (1).to_bytes(2, "little")
    head += channels.to_bytes(2, "little") + (16000).to_bytes(4, "little")
    head += (32000 * channels).to_bytes(4, "little") + (2 * channels).to_bytes(2, "little")
    head += (16).to_bytes(2, "little") + b"data" + len(samples).to_bytes(4, "little")
    return b"RIFF" + (len(head) + len(samples)).to_bytes(4, "little") + head + samples


def _hdf(path):
    with h5py.File(path, "w") as file:
        file["seqLengths"], file["seqTags"] = [[1, 2], [2, 1]], [b"x", b"y"]
        file["targets/data/a"], file["targets/data/b"] = [1, 2, 3], [0.5, 1.0, 2.0]


def _ogg_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("input.txt", "[{'a': 'x', 'b': [1, 2.5], 'file': 'f'}, {'a': 1}]")


def _kaldi(path):
    path.write_text("u x\nv  y z\n")
    for name, lines in (("a", "u A\nw B\n"), ("b.scp", "u b.ark:1\nw b.ark:5\n")):
        path.with_name(name).write_text(lines)


def _tfrecord(path):
    """Two Examples, one with integers and one with bytes, and a third whose checksum is wrong."""
    file = io.BytesIO()
    for feature in (b"\x1a\x04\x0a\x02\x01\x02", b"\x0a\x03\x0a\x01x", b"\x0a\x03\x0a\x01y"):
        entry = b"\x0a\x01a\x12" + bytes([len(feature)]) + feature
        features = b"\x0a" + bytes([len(entry)]) + entry
        file.writelines(tfrecord.framed([b"\x0a" + bytes([len(features)]) + features]))
    content = bytearray(file.getvalue())
    content[-1] ^= 1
    path.write_bytes(content)


def _arrow(path):
    table = pa.table({"a": ["x", None, "é"], "b": [[1, 2], [], [3]]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def _webdataset(path):
    with tarfile.open(path, "w") as archive:
        for name, content in (("u.a", b"x"), ("u.b", b"y"), ("v.a", b"\xc3\xa9")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _lhotse(path):
    source = {"type": "file", "channels": [0], "source": "f"}
    cut = {"id": "c", "start": 0, "duration": 1, "recording": {"sources": [source]}, "a": "x", "b": [1]}
    path.write_text(json.dumps(cut) + "\n" + json.dumps({"id": "r", "sources": [source]}) + "\n[]\n")


def _librispeech(path):
    path.write_text("u x  y\n\nv\n")


WRITERS = {
    "arrow": _arrow,
    "hdf": _hdf,
    "kaldi": _kaldi,
    "lhotse": _lhotse,
    "librispeech": _librispeech,
    "ogg_zip": _ogg_zip,
    "tfrecord": _tfrecord,
    "webdataset": _webdataset,
}
