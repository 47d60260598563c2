"""What manifests say of arrays, and what of it counts for fingerprints."""

import orjson
import pytest
from pydantic import TypeAdapter

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.spec_differences import asked_otherwise, differences
from seqmill.transforms.storage.checked_options import WrongOptionsError, checked
from seqmill.transforms.storage.fingerprint import fingerprint

SPECS = TypeAdapter(dict[str, ArraySpec])


def test_processing_is_stated_only_where_there_is_any():
    plain = {"type": "audio", "dtype": "<f4", "feature_shape": [], "num_labels": None, "vocab": None}
    assert SPECS.dump_python({"x": ArraySpec("audio", "<f4", ())}, mode="json") == {"x": plain}
    key = DataKey("x", "x", "audio", peak_normalization=True)
    spec = ArraySpec("audio", "<f4", (), processing=key.processing)
    content = SPECS.dump_python({"x": spec}, mode="json")
    assert content == {"x": {**plain, "processing": {"peak_normalization": True}}}
    assert SPECS.validate_python(content) == {"x": spec}


def test_fingerprints_are_as_before_there_was_processing():
    old = {"type": "audio", "dtype": "<f4", "feature_shape": (), "num_labels": None, "vocab": None}
    assert fingerprint({"x": ArraySpec("audio", "<f4", ())}) == fingerprint({"x": old})
    one, other = (ArraySpec("audio", "<f4", (), processing={"preemphasis": a}) for a in (0.9, 0.97))
    assert len({fingerprint([spec]) for spec in (ArraySpec("audio", "<f4", ()), one, other)}) == 3
    with pytest.raises(TypeError):
        fingerprint(object())


def test_options_that_came_later_decide_only_where_they_are_set():
    names = "name field type vocab tokenizer frame_size bos eos sample_rate channel offset duration"
    names += " num_mel_bins window hop dtype"
    assert set(DataKey("x", "x", "audio").decisive) == set(names.split())
    key = DataKey("x", "x", "mfcc", preemphasis=0.0, num_ceps=20)
    assert key.processing == {"preemphasis": 0.0, "num_ceps": 20, "num_mel_bins": 23}
    assert set(key.decisive) == {*names.split(), "preemphasis", "num_ceps"}
    orjson.dumps(key.decisive)


def test_what_gives_numbers_another_meaning_is_stated_where_it_is_set():
    assert DataKey("x", "x", "words").processing == DataKey("x", "x", "audio").processing == {}
    options = {"unk": False, "bos": True, "eos": "[E]", "pad": "[P]"}
    key = DataKey("x", "x", "words", vocab="v", **options)
    assert key.processing == options
    spec = ArraySpec("words", "<i4", (), 9, "vocab/x.txt", key.processing, pad=3)
    assert asked_otherwise(spec, key) == "" == differences(spec, spec)
    assert asked_otherwise(spec, DataKey("x", "x", "words", **{**options, "bos": "[B]", "pad": None})) == (
        'bos is true, not "[B]"; pad is "[P]", not set'
    )
    assert differences(ArraySpec("words", "<i4", (), 9, pad=3), spec).startswith('vocab is not set, not "voc')
    sound = DataKey("x", "x", "log_mel", sample_rate=8000, hop=0.02, channel=1)
    assert sound.processing == {"sample_rate": 8000, "channel": 1, "hop": 0.02}


@pytest.mark.parametrize(
    ("type", "options", "problem"),
    [
        ("floats", {"preemphasis": 0.9}, "preemphasis is an option of type audio or log_mel or mfcc, not of"),
        ("chars", {"peak_normalization": True}, "peak_normalization is an option of type audio or"),
        ("log_mel", {"num_ceps": 12}, "num_ceps is an option of type mfcc, not of log_mel"),
        ("mfcc", {"num_ceps": 24}, "num_ceps = 24: expected at most num_mel_bins, which is 23"),
        ("mfcc", {"num_ceps": 0}, "num_ceps: found 0; expected a whole number of at least 1"),
        ("audio", {"preemphasis": 1.5}, "preemphasis: found 1.5; expected a number from 0 to 1"),
        ("audio", {"preemphasis": float("nan")}, "preemphasis: found nan; expected a number from 0 to 1"),
        ("audio", {"preemphasis": "0.97"}, "preemphasis: found '0.97'; expected"),
        ("audio", {"peak_normalization": 1}, "peak_normalization: found 1; expected"),
    ],
)
def test_options_are_refused_where_they_mean_nothing(type, options, problem):
    with pytest.raises(WrongOptionsError) as error:
        checked(DataKey, {"name": "x", "field": "x", "type": type, **options})
    assert problem in str(error.value)
