"""Elements of half the bytes: the nearest numbers, how far they are, and what they cannot hold."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.small_elements import CLIPPED, narrow, widen
from seqmill.transforms.storage.checked_options import checked
from seqmill.transforms.storage.errors import RejectedSequence, UsageError

FINITE = arrays(
    "<f4", st.integers(1, 20), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


def spec(dtype, type="floats"):
    return ArraySpec(type, dtype, ())


@given(FINITE)
def test_bfloat16_is_the_nearest_number_with_its_last_bit_even_on_ties(numbers):
    """As ml_dtypes rounds, which JAX and TensorFlow use."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with np.errstate(over="ignore"):
        expected = numbers.astype(ml_dtypes.bfloat16)
    if np.isinf(expected.astype("<f4")).any():
        with pytest.raises(RejectedSequence, match="too large for bfloat16"):
            narrow(numbers, "bfloat16")
        return
    small = narrow(numbers, "bfloat16")
    assert small.dtype == "<u2"
    assert small.tobytes() == expected.tobytes()
    assert widen(small, spec("bfloat16")).tobytes() == expected.astype("<f4").tobytes()


@given(FINITE)
def test_float16_is_the_nearest_number_and_never_becomes_infinite(numbers):
    if (np.abs(numbers) >= 65520).any():
        with pytest.raises(RejectedSequence, match="too large for float16"):
            narrow(numbers, "<f2")
        return
    widened = widen(narrow(numbers, "<f2"), spec("<f2"))
    assert widened.dtype == np.float32
    assert (np.abs(widened - numbers) <= np.maximum(np.abs(numbers) * 2**-11, 2**-25)).all()
    assert narrow(widened, "<f2").tobytes() == narrow(numbers, "<f2").tobytes()


def test_every_16_bit_sample_comes_back_as_decoders_give_it():
    samples = np.arange(-32768, 32768).astype("<f4") / 32768
    small = narrow(samples, "<i2")
    assert small.tolist() == [*range(-32768, 32768)]
    assert widen(small, spec("<i2", "audio")).tobytes() == samples.tobytes()
    assert widen(small, spec("<i2", "ints")) is small


@pytest.mark.parametrize("dtype", ["<f2", "bfloat16"])
def test_no_number_becomes_nan(dtype):
    every = widen(np.arange(1 << 16).astype("<u2").view(spec(dtype).elements), spec(dtype))
    finite = every[np.isfinite(every)]
    assert widen(narrow(finite, dtype), spec(dtype)).tobytes() == finite.tobytes()


def floats(**options):
    return make_encoder(DataKey("data", "data", "floats", **options), ".", None, (2,))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_an_encoder_of_small_elements_knows_its_largest_error(dtype):
    values = [[[0.1, 1.0]], [[3.3, 2.0], [0.5, 100.7]]]
    wide, small = floats(), floats(dtype=dtype)
    block, exact = small.encode_block(values), wide.encode_block(values)
    found = widen(block.values, spec(small._dtype))
    assert small.largest_error == np.abs(found - exact.values).max() > 0
    one_by_one = floats(dtype=dtype)
    assert b"".join(one_by_one.encode(v).tobytes() for v in values) == block.values.tobytes()
    assert one_by_one.largest_error == small.largest_error


def test_what_an_element_cannot_hold_is_rejected_and_changes_no_count():
    encoder = floats(dtype="float16")
    for value in ([[1.0, 65520.0]], [[float("nan"), 1.0]]):
        with pytest.raises(RejectedSequence, match=r"too large for float16|not finite"):
            encoder.encode_block([[[1.1, 2.0]], value])
    assert (encoder.largest_error, encoder.converted.total()) == (0.0, 0)


def wav(samples):
    file = io.BytesIO()
    soundfile.write(file, np.array(samples, "f4"), 16000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_samples_over_full_scale_are_clipped_and_counted_by_the_sequence():
    encoder = make_encoder(DataKey("data", "data", "audio", dtype="int16"), ".", None, ())
    assert encoder.encode(wav([0.5, 1.0, -1.0])).tolist() == [16384, 32767, -32768]
    assert encoder.converted == {}
    assert encoder.encode_block([wav([0.1]), wav([1.25, 1.25, 0.0])]).values[1:].tolist() == [32767, 32767, 0]
    assert encoder.converted == {CLIPPED: 1}
    assert encoder.largest_error == pytest.approx(0.25, abs=1e-4)
    with pytest.raises(RejectedSequence, match="too loud for int16"):
        encoder.encode(wav([32767.0]))


@pytest.mark.parametrize(
    ("type", "dtype", "message"),
    [
        ("ints", "float16", "dtype is an option of type floats or audio or log_mel or mfcc, not of ints"),
        ("audio", "float16", "dtype of type audio: expected float32 or int16"),
        ("floats", "int16", "dtype of type floats: expected float32 or float16 or bfloat16"),
        ("floats", "half", "float32, float16, bfloat16, int16"),
    ],
)
def test_a_dtype_that_does_not_fit_is_refused(type, dtype, message):
    with pytest.raises(UsageError, match=message):
        checked(DataKey, {"name": "data", "field": "data", "type": type, "dtype": dtype})
    assert DataKey("data", "data", "floats", dtype="float32").dtype is None
