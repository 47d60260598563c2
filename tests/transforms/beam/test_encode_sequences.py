"""Whatever records hold, each becomes a sequence or a reject, and is counted."""

import datetime
import pickle
from collections import UserDict, defaultdict
from dataclasses import replace
from decimal import Decimal

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.beam import DropByLength, EncodeSequences, Ragged, WriteStore
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_block import join_blocks

ENCODE = EncodeSequences({"data": {"type": "ints"}, "text": {"type": "bytes"}}, order_by="id")
GOOD = {"id": 1, "data": [1, 2], "text": "ab"}


@pytest.mark.parametrize(
    "record",
    [
        *({**GOOD, "id": key} for key in (np.int64(3), np.uint8(3), -(2**63), b"x", "ü")),
        {**GOOD, "data": np.array([1, 2], np.int64)},
        {**GOOD, "data": (1, 2)},
        {**GOOD, "text": bytearray(b"ab")},
        {**GOOD, "text": memoryview(b"ab")},
        UserDict(GOOD),
        defaultdict(list, GOOD),
    ],
)
def test_values_as_libraries_have_them_are_taken(record):
    block = ENCODE.block([record])
    assert (block.num_seqs, block.lengths["data"].tolist()) == (1, [2])


KEYS = ["", None, True, 1.0, 2**63, [1], object(), "\ud800", b"\xff", Decimal(1), datetime.date(2026, 1, 1)]
VALUES = [
    object(),
    {1, 2},
    iter([1]),
    Decimal(1),
    {"a": 1},
    "text",
    [],
    [2**31],
    None,
    np.ma.masked,
    b"\xff",
    [[1]],
]


@pytest.mark.parametrize(
    "record",
    [
        *({**GOOD, "id": key} for key in KEYS),
        *({**GOOD, "data": value} for value in VALUES),
        {**GOOD, "text": "\ud800"},
        {"id": 1},
        defaultdict(list, id=1),
        None,
        b"bytes",
        [1],
    ],
)
def test_other_values_are_rejected_and_cost_no_other_record(record):
    block = ENCODE.block([GOOD, record, {**GOOD, "id": 2}])
    assert block.order == (1, 2)
    assert (block.read, sum(block.rejected.values())) == (3, 1)
    assert len(str(block.rejects[0].detail)) < 300
    if isinstance(record, dict):
        assert set(record) <= {"id", "data", "text"}  # asking a defaultdict would have added fields


class LongAndShort(beam.PTransform):
    """Records of some numbers, each fiftieth a long one, as blocks."""

    def expand(self, numbers):
        return numbers | beam.Map(self.record) | ENCODE

    @staticmethod
    def record(number):
        return {"id": number, "data": np.ones(3 if number % 50 else 50_000, np.int32), "text": "a"}


def test_blocks_are_bounded_and_nothing_is_lost_between_them():
    blocks = [*range(1200)] | LongAndShort()
    assert sorted(order for block in blocks for order in block.order) == [*range(1200)]
    assert len(blocks) > 1
    assert max(len(pickle.dumps(block)) for block in blocks) < 3_000_000


def test_metrics_count_what_each_transform_does(tmp_path):
    records = [{"id": i, "data": [0] * (i + 1), "text": "ab"} for i in range(8)]
    pipeline = beam.Pipeline(runner=FnApiRunner())
    (
        pipeline
        | beam.Create([*records, records[0], {"id": 9}])
        | EncodeSequences({"data": {"type": "ints"}, "text": {"type": "bytes"}}, order_by="id")
        | DropByLength(max_seq_length={"data": 6})
        | WriteStore(str(tmp_path / "store"), max_rejected=0.5)
    )
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query()
    counters = {
        (one.key.metric.namespace.removeprefix("seqmill."), one.key.metric.name): one.committed
        for one in found["counters"]
    }
    assert {what: counters["EncodeSequences", what] for what in ("read", "kept", "rejected")} == {
        "read": 10,
        "kept": 9,
        "rejected": 1,
    }
    assert counters["DropByLength", "dropped"] == 2
    assert {what: counters["WriteStore", what] for what in ("read", "kept", "dropped", "rejected")} == {
        "read": 10,
        "kept": 6,
        "dropped": 2,
        "rejected": 2,
    }
    assert counters["WriteStore", "frames/data"] == 1 + 2 + 3 + 4 + 5 + 6
    lengths = {
        one.key.metric.namespace: one.committed
        for one in found["distributions"]
        if one.key.metric.name == "length/data"
    }
    assert (lengths["seqmill.EncodeSequences"].max, lengths["seqmill.DropByLength"].max) == (8, 6)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_a_block_in_pieces_is_the_block(sizes, data):
    block = ENCODE.block([{"id": i, "data": [i] * n, "text": "a" * n} for i, n in enumerate(sizes)])
    cut = data.draw(st.integers(0, len(sizes)))
    is_first = np.arange(len(sizes)) < cut
    first, second = (block.keep(kept, {"others": int((~kept).sum())}) for kept in (is_first, ~is_first))
    joined = join_blocks([first, second])
    assert (joined.order, joined.tags) == (block.order, block.tags)
    for (tag, arrays), (other_tag, others) in zip(joined.sequences(), block.sequences(), strict=True):
        assert tag == other_tag
        np.testing.assert_array_equal(arrays["data"], others["data"])


def test_blocks_that_do_not_fit_together_are_refused():
    block = ENCODE.block([GOOD])
    values = np.array([1, 2], np.int64)
    for wrong, message in [
        ({"arrays": {**block.arrays, "data": Ragged(values, np.array([2], np.int32))}}, "values are int64"),
        ({"arrays": {"data": block.arrays["data"]}}, "arrays of data; expected those of data, text"),
        ({"order": (1, 2)}, "expected int32 lengths of 2 sequences"),
        ({"tags": ()}, "0 tags of 1 sequences"),
        ({"read": 5}, "5 records read, but 1 are kept, dropped or rejected"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(block, **wrong)


def test_windows_and_blocks_of_two_collections_have_no_place_in_a_store(tmp_path):
    records = beam.Create([GOOD])
    pipeline = beam.Pipeline(runner=FnApiRunner())
    windowed = pipeline | records | beam.WindowInto(beam.window.FixedWindows(1)) | ENCODE
    with pytest.raises(SeqmillError, match=r"WriteStore: found a collection with .*FixedWindows"):
        windowed | WriteStore(str(tmp_path))

    pipeline = beam.Pipeline(runner=FnApiRunner())
    both = [
        pipeline | f"{number}" >> beam.Create([GOOD]) | f"Encode {number}" >> EncodeSequences(keys, "id")
        for number, keys in enumerate(({"data": {"type": "ints"}}, {"text": {"type": "bytes"}}))
    ]
    both | beam.Flatten() | WriteStore(str(tmp_path))
    with pytest.raises(
        SeqmillError, match=r"blocks of different collections: .*text: bytes of records by id"
    ):
        pipeline.run()


def test_options_of_labels(tmp_path):
    (tmp_path / "v.txt").write_text("<pad>\n<unk>\n[S]\na\nb\n")
    keys = {
        "x": {"type": "words", "vocab": str(tmp_path / "v.txt"), "normalize": ["lower"], "bos": "[S]"},
        "y": {"type": "words", "vocab": "@x", "unk": False},
    }
    block = EncodeSequences(keys, order_by="id").block([{"id": 1, "x": "A b c", "y": "b"}])
    assert block.arrays["x"].values.tolist() == [2, 3, 4, 1]
    assert block.arrays["y"].values.tolist() == [4]
    specs = block.origin.data_keys
    assert specs["y"].vocab == "vocab/x.txt"
    assert specs["x"].processing == {"bos": "[S]", "normalize": ["lower"]}
    for wrong, message in (
        ({"x": {"type": "words"}, "y": {"type": "words", "vocab": "@x"}}, r"keys: [xy].vocab: found"),
        ({"y": {"type": "words", "vocab": "@x"}}, "y.vocab: found '@x'; there is no data key 'x'"),
    ):
        with pytest.raises(SeqmillError, match=message):
            EncodeSequences(wrong, order_by="id")
