"""Records of any source become a store: ordered, each once, the same bytes whatever the runner did."""

import random
from pathlib import Path

import apache_beam as beam
import numpy as np
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from folder_content import content

from seqmill.transforms.beam import EncodeSequences, SequenceBlock, WriteStore
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store

KEYS = {"data": {"type": "floats"}, "classes": {"field": "text", "type": "bytes"}}
SHAPES = {"data": (2,)}


def encode(**others):
    return EncodeSequences(KEYS, **{"order_by": "id", "feature_shapes": SHAPES, **others})


def records(number):
    rng = np.random.default_rng(1)
    return [{"id": i, "data": rng.normal(size=(1 + i % 5, 2)), "text": f"text {i}"} for i in range(number)]


class Pieces(beam.DoFn):
    """A user's own step between: blocks cut into single sequences."""

    def process(self, block):
        for row in range(block.num_seqs):
            kept = np.arange(block.num_seqs) == row
            single = block.keep(kept, {"others": block.num_seqs - 1})
            yield SequenceBlock(single.origin, single.arrays, single.order, single.tags, read=1)


def test_a_store_is_the_same_whatever_came_when(tmp_path):
    some = [*records(40), {"id": "x", "data": [[1, 2]], "text": "last"}]
    twice = {**some[3], "text": "another text"}
    bad = [{"data": [[1, 2]], "text": "a"}, {"id": 99, "data": [[1, 2, 3]], "text": "a"}, 7]
    given = [*some, twice, *bad]

    (written,) = given | encode() | WriteStore(str(tmp_path / "a"), max_rejected=0.2)
    assert written.counts.read == 45
    assert written.counts.rejected == {
        "data: feature size differs": 1,
        "duplicate order key": 1,
        "missing field": 1,
        "record is no mapping": 1,
    }
    store = Store(str(tmp_path / "a"))
    assert store.num_seqs == 41 == written.num_seqs
    assert [store.tag(row) for row in (0, 39, 40)] == [b"0", b"39", b"x"]
    np.testing.assert_array_equal(store.sequence("data", 7), some[7]["data"].astype(np.float32))
    assert store.sequence("classes", 7).tobytes() == b"text 7"
    lines = [orjson.loads(line) for line in Path(written.rejected).read_bytes().splitlines()]
    assert [line["order"] for line in lines] == [3, 99, None, None]
    assert not (tmp_path / "a/staged").exists()

    random.Random(2).shuffle(given)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        other = (
            pipeline
            | beam.Create(given)
            | beam.Reshuffle()
            | encode()
            | WriteStore(str(tmp_path / "b"), corpus="a", max_rejected=0.2)
        )
        assert_that(other | beam.Map(lambda written: written.fingerprint), equal_to([written.fingerprint]))
    assert content(tmp_path / "b") == content(tmp_path / "a")
    # Written again, over another store.
    given[:20] | encode() | WriteStore(str(tmp_path / "b"), max_rejected=0.5)
    given | encode() | WriteStore(str(tmp_path / "b"), corpus="a", max_rejected=0.2)
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_blocks_in_any_pieces_make_the_same_store(tmp_path):
    some = records(30)
    some | encode() | WriteStore(str(tmp_path / "a"))
    some[::-1] | encode() | beam.ParDo(Pieces()) | WriteStore(str(tmp_path / "b"), corpus="a")
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_a_store_is_written_again_by_the_same_process_from_other_staged_files(tmp_path):
    some = records(30)
    for order in (some, some[::-1]):
        order | encode() | WriteStore(str(tmp_path / "a"))
        expected = content(tmp_path / "a")
        some[:7] | encode() | WriteStore(str(tmp_path / "a"))
    some | encode() | WriteStore(str(tmp_path / "b"), corpus="a")
    assert content(tmp_path / "b") == expected


def test_too_many_rejects_end_the_pipeline(tmp_path):
    with pytest.raises(SeqmillError, match=r"1 of 3 sequences rejected.*\n.*lost"):
        [*records(2), {"lost": 1}] | encode() | WriteStore(str(tmp_path))
    assert not (tmp_path / "manifest.json").exists()
    records(2) | encode() | WriteStore(str(tmp_path))
    assert not (tmp_path / "staged").exists()
