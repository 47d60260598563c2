"""The public transforms in a pipeline of a user's own, on every engine: the same bytes."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from seqmill_runs import tree

from seqmill.pipelines.runners import import_runner
from seqmill.transforms.beam import EncodeSequences, PreBatch

RECORDS = [{"id": 7 * number % 61, "text": "a" * (1 + number % 13)} for number in range(60)]
OPTIONS = {"batch_size": 40, "seq_ordering": "random", "num_epochs": 2, "num_shards": 3}


def write(folder, flags):
    """Runs the pipeline as a command's flags say."""
    named, others = flags[0].removeprefix("--runner="), flags[1:]
    encode = EncodeSequences({"data": {"field": "text", "type": "bytes"}}, order_by="id")
    pipeline = beam.Pipeline(import_runner(named)(), PipelineOptions(others))
    pipeline | beam.Create(RECORDS) | encode | PreBatch(str(folder), OPTIONS)
    result = pipeline.run()
    result.wait_until_finish()
    if hasattr(result, "client"):  # of Dask, which else goes on looking for its scheduler
        result.client.close()


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "train"
    write(folder, ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"])
    return tree(folder)


@pytest.mark.parametrize("engine", ["prism_server", "job_service", "dask"])
def test_bytes_are_those_of_the_local_runner(request, tmp_path, in_memory, engine):
    write(tmp_path / "train", request.getfixturevalue(engine).flags)
    assert len(in_memory) > 10
    assert tree(tmp_path / "train") == in_memory
