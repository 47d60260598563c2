import io
import struct

import kaldi_native_io
import numpy as np
import pytest

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.array_files import read_npy_bytes
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.storage.errors import RejectedSequence

MATRIX = (np.random.default_rng(3).normal(size=(11, 3)) * 20).astype("f4")


@pytest.fixture
def encode(tmp_path):
    """encode(value, type, **options): the array that a data key makes of a value."""

    def encode(value, type="floats", shape=(3,), max_bytes=1 << 20, **options):
        encoder = make_encoder(
            DataKey("x", "x", type, **options), str(tmp_path), None, shape, False, max_bytes
        )
        block = encoder.encode_block([value, value]).values
        one = encoder.encode(value)
        np.testing.assert_array_equal(block, np.concatenate([one, one]))
        return one

    return encode


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize("array", [MATRIX, MATRIX.astype(">f8"), np.asfortranarray(MATRIX), MATRIX[:1]])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_npy_files(tmp_path, encode, array, version):
    (tmp_path / "a.npy").write_bytes(npy(array, version=version))
    np.testing.assert_array_equal(encode("a.npy"), array.astype("f4"))
    np.testing.assert_array_equal(encode((tmp_path / "a.npy").read_bytes()), array.astype("f4"))


def test_npy_files_of_integers(tmp_path, encode):
    np.save(tmp_path / "a.npy", np.arange(5))
    assert encode("a.npy", "ints").tolist() == [0, 1, 2, 3, 4]
    assert encode(str(tmp_path / "a.npy"), "floats", shape=()).tolist() == [0, 1, 2, 3, 4]


def header(shape, descr="<f4"):
    return npy(np.zeros((2, 3), "f4")).replace(b"(2, 3)", shape).replace(b"<f4", descr.encode())[:128]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (npy(np.array([{}], object), allow_pickle=True), "no numbers"),
        (npy(np.zeros(3, [("a", "f4")])), "no numbers"),
        (npy(np.zeros(3, "c8")), "no numbers"),
        (npy(np.zeros((2, 3), "f4"))[:-1], "broken array"),
        (npy(np.zeros((2, 3), "f4")) + b"\0", "broken array"),
        (header(b"(999999999, 99999999)"), "larger than max_record_size"),
        (header(b"(-1, 3)"), "broken array"),
        (header(b"('a',)"), "broken array"),
        (npy(np.zeros(3, "f4"))[:20], "broken array"),
        (b"\x93NUMPY\x03\x00" + npy(np.zeros(3, "f4"))[8:], "broken array"),
        (b"text", "broken array"),
        (b"", "broken array"),
    ],
)
def test_npy_files_that_are_refused(tmp_path, encode, content, reason):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(RejectedSequence) as caught:
        encode("a.npy")
    assert caught.value.reason == reason


def test_only_regular_files_are_opened(tmp_path, encode):
    import os

    os.mkfifo(tmp_path / "pipe.npy")
    for path, reason in (
        ("pipe.npy", "not readable array"),
        ("none.npy", "missing array file"),
        ("none.ark:5", "missing array file"),
        ("file:///etc/x.npy", "missing array file"),
        ("copy-feats a.ark - |x.npy", "missing array file"),
        ("|cat a.npy", "a command instead of a file"),
    ):
        with pytest.raises(RejectedSequence) as caught:
            encode(path)
        assert caught.value.reason == reason


METHODS = ["kSpeechFeature", "kTwoByteAuto", "kTwoByteSignedInteger", "kOneByteAuto", "kOneByteZeroOne"]


@pytest.mark.parametrize("method", METHODS)
def test_compressed_matrices_are_what_kaldi_makes_of_them(tmp_path, encode, method):
    path = f"{tmp_path}/a.ark"
    with kaldi_native_io.CompressedMatrixWriter(f"ark:{path}") as writer:
        writer.write("a", MATRIX, getattr(kaldi_native_io.CompressionMethod, method))
    np.testing.assert_array_equal(encode("a.ark:2"), kaldi_native_io.FloatMatrix.read(f"{path}:2").numpy())


def write_ark(path, *arrays):
    """Writes matrices and vectors by Kaldi's code; returns their places as scp files have them."""
    with kaldi_native_io.FloatMatrixWriter(f"ark,scp:{path},{path}.scp") as writer:
        for number, array in enumerate(arrays):
            writer.write(f"u{number}", array)
    lines = path.with_name(f"{path.name}.scp").read_text().splitlines()
    return [line.split(" ", 1)[1] for line in lines]


def test_matrices_and_vectors(tmp_path, encode):
    first, second = write_ark(tmp_path / "a.ark", MATRIX, MATRIX[:2])
    np.testing.assert_array_equal(encode(first), MATRIX)
    np.testing.assert_array_equal(encode(second), MATRIX[:2])
    np.testing.assert_array_equal(encode(f"{first}[2:4]"), MATRIX[2:5])
    np.testing.assert_array_equal(encode(f"{first}[2:4,1:2]", shape=(2,)), MATRIX[2:5, 1:3])
    np.testing.assert_array_equal(encode(f"{first}[:,0:0]", shape=(1,)), MATRIX[:, :1])
    with kaldi_native_io.Int32VectorWriter(f"ark:{tmp_path}/i.ark") as writer:
        writer.write("a", [7, -1, 1 << 30])
    assert encode("i.ark:2", "ints").tolist() == [7, -1, 1 << 30]
    with kaldi_native_io.DoubleVectorWriter(f"ark:{tmp_path}/d.ark") as writer:
        writer.write("a", np.array([0.5, 2.0]))
    assert encode("d.ark:2", shape=()).tolist() == [0.5, 2.0]
    for wrong in (f"[0:{'9' * 5000}]", "[5:99]", "[3:2]", "[0:1,0:1,0:1]", "[1]", "[:]x"):
        with pytest.raises(RejectedSequence):
            encode(first + wrong)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0BFM " + struct.pack("<bibi", 4, 1 << 30, 4, 1 << 30), "larger than max_record_size"),
        (b"\0BFM " + struct.pack("<bibi", 4, 2, 4, 3) + bytes(20), "broken array"),
        (b"\0BFM " + struct.pack("<bibi", 4, -2, 4, 3), "broken array"),
        (b"\0BFM " + struct.pack("<bqbi", 8, 2, 4, 3) + bytes(40), "broken array"),
        (b"\0BCM " + struct.pack("<ffii", 0, 1, 1 << 30, 1 << 30), "larger than max_record_size"),
        (b"\0BCM " + struct.pack("<ffii", 0, 1, 3, 3) + bytes(20), "broken array"),
        (b"\0BCM2 " + struct.pack("<ffii", 0, 1, -3, -3), "broken array"),
        (b"\0B\x04" + struct.pack("<i", 3) + struct.pack("<bibibi", 4, 1, 8, 1, 4, 1), "broken array"),
        (b"\0BXXXXXX", "broken array"),
        (b" [ 1 2 3 ]\n", "broken array"),
        (b"", "broken array"),
    ],
)
def test_arks_that_are_refused(tmp_path, encode, content, reason):
    (tmp_path / "a.ark").write_bytes(b"u " + content)
    for place, expected in ((2, reason), (10**15, "broken array")):
        with pytest.raises(RejectedSequence) as caught:
            encode(f"a.ark:{place}")
        assert caught.value.reason == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\0BCM9 xx", "an unknown kind of array (CM9): the file is damaged"),
        (b"\0B\x1b[7m\xff", "an unknown kind of array: the file is damaged"),
        (b"\0BFM " + struct.pack("<bibi", 4, 1, 4, 1) + bytes(3), "behind the file's end, 1 byte is missing"),
    ],
)
def test_messages_of_arks_show_no_bytes_of_theirs(tmp_path, encode, content, says):
    (tmp_path / "a.ark").write_bytes(b"u " + content)
    with pytest.raises(RejectedSequence) as caught:
        encode("a.ark:2")
    assert says in caught.value.detail


def test_flat_numbers_in_frames(encode):
    flat = MATRIX.reshape(-1)
    for value in (flat, flat.tolist(), MATRIX, MATRIX.tolist()):
        np.testing.assert_array_equal(encode(value, frame_size=3, shape=None), MATRIX)
    for value, reason in ((flat[:-1], "feature size differs"), (MATRIX[:, :2], "feature size differs")):
        with pytest.raises(RejectedSequence) as caught:
            encode(value, frame_size=3)
        assert caught.value.reason == reason


def test_headers_that_no_python_reads():
    file = io.BytesIO()
    np.save(file, np.ones((3, 2), "f4"))
    content = file.getvalue()
    for old, new in (
        (b"(3, 2)", b"(3, 2("),
        (b"(3, 2)", b"(3, \n)"),
        (b"'shape'", b"'shape "),
        (b"{", b"\x00"),
    ):
        with pytest.raises(RejectedSequence, match="broken array"):
            read_npy_bytes(content.replace(old, new), 1000)
