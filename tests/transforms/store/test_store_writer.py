import io

import numpy as np
import pyarrow as pa
import pytest

from seqmill.transforms.features import Ragged
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.ragged import LONGEST, check_length
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.store.store_writer import RECORD_BATCH_BYTES, StoreWriter

SPECS = {"data": ArraySpec("bytes", "|u1", ())}


def test_blocks_of_any_size_make_bounded_record_batches():
    lengths = np.array([10, 1_000_000, 40_000_000, 1, 20_000_000, 13_000_000, 3], np.int32)
    values = np.resize(np.arange(251, dtype=np.uint8), int(lengths.sum()))
    file = io.BytesIO()
    writer = StoreWriter(file, SPECS, has_tags=False)
    writer.append({"data": Ragged(values[:10], lengths[:1])}, [0])
    writer.append({"data": Ragged(values[10:], lengths[1:])}, range(1, len(lengths)))
    writer.close()
    reader = pa.ipc.open_file(pa.py_buffer(file.getvalue()))
    batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
    assert writer.batch_rows == [batch.num_rows for batch in batches]
    for batch in batches:
        assert len(batch["data"].values) < 2 * RECORD_BATCH_BYTES or batch.num_rows == 1
    found = np.concatenate([batch["data"].values.to_numpy() for batch in batches])
    np.testing.assert_array_equal(found, values)
    assert writer.index["lengths/data"].to_pylist() == lengths.tolist()
    assert writer.index["position"].to_pylist() == list(range(len(lengths)))


@pytest.mark.long
def test_a_block_of_more_than_two_to_the_31_elements():
    class Nowhere(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            return memoryview(data).nbytes

    lengths = np.full(200, 11_000_000, np.int32)
    values = np.broadcast_to(np.uint8(7), int(lengths.sum(dtype=np.int64)))
    assert len(values) > 1 << 31
    writer = StoreWriter(Nowhere(), SPECS, has_tags=False)
    writer.append({"data": Ragged(values, lengths)}, range(200))
    writer.close()
    assert sum(writer.batch_rows) == 200
    assert writer.num_bytes > len(values)


def test_what_is_too_long_to_be_stored_is_rejected():
    check_length(LONGEST)
    with pytest.raises(RejectedSequence, match="too long"):
        Ragged.join([np.broadcast_to(np.uint8(0), LONGEST + 1)], np.empty(0))
