"""Mean and variance: exact sums whatever their order, statistics that are given, and normalized frames."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqmill.transforms.features import Norm, make_encoder
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.frame_sums import FrameSums
from seqmill.transforms.features.given_norm import read_given
from seqmill.transforms.features.norm import GivenNorm, check_norms, read_norm, write_norm
from seqmill.transforms.storage.checked_options import WrongOptionsError, checked
from seqmill.transforms.storage.errors import UsageError

FRAMES = arrays(
    np.float32,
    st.tuples(st.integers(1, 30), st.just(2)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@settings(max_examples=50)
@given(FRAMES, st.lists(st.integers(0, 30)), st.randoms())
def test_sums_are_exact_however_frames_are_cut_and_ordered(frames, cuts, random):
    parts = np.split(frames, sorted(min(cut, len(frames)) for cut in cuts))
    random.shuffle(parts)
    total = FrameSums(2)
    for part in parts:
        one = FrameSums(2)
        one.add(part)
        total.merge(one.content())
    for place, column in enumerate(frames.T.tolist()):
        mean = sum(map(Fraction, column)) / len(column)
        variance = sum(Fraction(x) ** 2 for x in column) / len(column) - mean**2
        assert total.norm().mean[place] == float(mean)
        assert total.norm().stddev[place] == np.sqrt(float(variance))
    assert total.norm().num_frames == len(frames)


def test_no_frames_have_no_mean():
    assert FrameSums(1).norm() == Norm((0.0,), (0.0,), 0)


def encoder(normalization="sequence", norm=None, shape=(3,), **options):
    key = DataKey("x", "x", "floats", normalization=normalization, **options)
    return make_encoder(key, "", None, shape, norm=norm)


def test_every_sequence_has_mean_0_and_variance_1_and_what_never_changes_is_0():
    values = np.random.default_rng(1).normal(3, 5, size=(50, 3)).astype("f4")
    values[:, 1] = 0.1
    normalized = encoder().encode(values)
    exact = values.astype("f8")
    expected = (exact[:, ::2] - exact[:, ::2].mean(axis=0)) / exact[:, ::2].std(axis=0)
    np.testing.assert_allclose(normalized[:, ::2], expected, rtol=1e-6)
    assert not normalized[:, 1].any()
    assert normalized.dtype == np.float32
    block = encoder().encode_block([values[:1].tolist(), values, values[1:4].tolist()])
    assert block.values[1:51].tobytes() == normalized.tobytes()
    assert not block.values[0].any()  # a single frame is its own mean
    assert block.lengths.tolist() == [1, 50, 3]
    assert encoder(shape=()).encode([1, 3]).tolist() == [-1, 1]


def test_statistics_are_those_that_are_given(rejects):
    norm = Norm((1.0, 2.0, 0.0), (2.0, 0.0, 1e-30))
    values = [[3, 2, 0], [1, 4, 0]]
    one = encoder("global", norm)
    assert one.encode(values).tolist() == [[1, 0, 0], [0, 2, 0]]
    assert one.encode_block([values, values[:1]]).values.tolist() == [[1, 0, 0], [0, 2, 0], [1, 0, 0]]
    assert encoder("global", Norm(1.0, 2.0)).encode(values).tolist() == [[1, 0.5, -0.5], [0, 1.5, -0.5]]
    assert rejects(one, [[1, 2, 1e10]]).reason == "not finite"
    assert rejects(one, [[float("nan"), 0, 0]]).reason == "not finite"
    small = encoder("global", norm, dtype="float16")
    assert (small.dtype, small.encode(values).tolist()) == (np.float16, [[1, 0, 0], [0, 2, 0]])
    with pytest.raises(ValueError, match="no statistics yet"):
        encoder("global")


def test_statistics_of_other_sizes_are_refused():
    specs = {"x": ArraySpec("floats", "<f4", (3,)), "y": ArraySpec("floats", "<f4", ())}
    check_norms({"x": Norm((1.0,) * 3, 2.0), "y": Norm((1.0,), (1.0,))}, specs)
    with pytest.raises(UsageError, match=r"data\.x\.normalization: stddev has 4 numbers, and a frame has 3"):
        check_norms({"x": Norm(0.0, (1.0,) * 4)}, specs)


def test_files_of_ours_of_returnn_and_of_numpy(tmp_path):
    path = str(tmp_path / "x.json")
    write_norm(path, Norm((0.1, 1e300), (5e-324, 0.0), 7))
    assert read_norm(path) == read_given("x", path) == Norm((0.1, 1e300), (5e-324, 0.0), 7)
    mean, stddev = np.random.default_rng(1).random((2, 40))
    np.savetxt(tmp_path / "mean.txt", mean, header="of train")
    np.save(tmp_path / "stddev.npy", stddev)
    norm = read_given("x", GivenNorm(str(tmp_path / "mean.txt"), str(tmp_path / "stddev.npy")))
    assert norm == Norm(tuple(np.loadtxt(tmp_path / "mean.txt")), tuple(stddev))
    assert read_given("x", GivenNorm(0.5, 2)) == Norm(0.5, 2.0)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("m.txt", b"1 2\nx", "could not convert string to float: 'x'; expected a number for each"),
        ("m.txt", b"# nothing", "no numbers"),
        ("m.txt", b"1 nan", "m.txt: found nan; expected finite numbers"),
        ("m.txt", b"1 -1", "m.txt: found -1.0; expected finite numbers, 0 or more"),
        ("m.txt", b"\xff", "expected a number for each of a frame"),
        ("m.npy", b"\x80\x04N.", "not a .npy file"),
        ("none.txt", None, "cannot be read (No such file or directory)"),
    ],
)
def test_files_that_hold_something_else(tmp_path, name, content, problem):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_given("x", GivenNorm(0, str(tmp_path / name)))
    assert str(error.value).startswith("data.x.normalization.stddev: ")
    assert problem in str(error.value)


@pytest.mark.parametrize(("mean", "stddev"), [(float("nan"), 1), (0, float("inf")), (0, -1)])
def test_given_numbers_that_are_none(mean, stddev):
    with pytest.raises(UsageError, match=r"data\.x\.normalization\.\w+: found \S+; expected finite numbers"):
        read_given("x", GivenNorm(mean, stddev))


def test_a_changed_file_of_ours_is_refused(tmp_path):
    path = tmp_path / "x.json"
    write_norm(str(path), Norm((0.0,), (1.0,), 7))
    path.write_text(path.read_text().replace("1.0", "2.0"))
    with pytest.raises(UsageError, match="it was changed"):
        read_given("x", str(path))
    with pytest.raises(UsageError, match='no such file; expected "sequence", "global", a file'):
        read_given("x", str(tmp_path / "sequenze"))


@pytest.mark.parametrize(
    ("type", "value", "problem"),
    [
        ("audio", "sequence", "normalization is an option of type floats or log_mel or mfcc, not of audio"),
        ("floats", {"mean": 0}, "normalization: found {'mean': 0}; expected \"sequence\""),
        ("floats", {"mean": True, "stddev": 1}, 'expected "sequence", "global", a file'),
        ("floats", 1, 'expected "sequence", "global", a file'),
    ],
)
def test_what_normalization_cannot_be(type, value, problem):
    with pytest.raises(WrongOptionsError) as error:
        checked(DataKey, {"name": "x", "field": "x", "type": type, "normalization": value})
    assert problem in str(error.value)
