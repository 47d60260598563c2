"""Options of a run on a runner of Beam's: what flags say, and defaults that suit each runner."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
)

from seqmill.pipelines.beam_flags import beam_flag_names, flag_names, runner_flag
from seqmill.pipelines.cores import num_cores
from seqmill.pipelines.endpoints import is_this_machine
from seqmill.pipelines.runners import PORTABLE, import_runner, is_local
from seqmill.transforms.storage.errors import UsageError

_JOB_SERVER_SECONDS = 45  # Beam's own 300 are too long to find out that nobody answers
_NO_PACKAGE_LIST = "disable_logging_submission_environment"  # `pip freeze` takes seconds for each job
_LOCAL_MASTERS = ("[auto]", "[local]", "local")


@dataclass(frozen=True)
class BeamOptions:
    """A runner of Beam's and its options.

    Attributes:
        runner: Its class.
        options: With defaults set.
        passed_on: Names of flags that only the runner's job server may know.
    """

    runner: type
    options: PipelineOptions
    passed_on: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The runner's name."""
        return self.runner.__name__

    @property
    def is_local(self) -> bool:
        """Whether it is Beam's local runner."""
        return is_local(self.name)

    def view(self, kind: type) -> Any:
        """The options of one of Beam's groups, to be read or set."""
        return self.options.view_as(kind)


def beam_options(flags: Sequence[str], num_tasks: int = 1) -> BeamOptions:
    """What Beam's flags ask for; without ``--runner``, its local runner.

    Args:
        flags: Beam's own.
        num_tasks: How many tasks there are to be done.

    Raises:
        UsageError: A value is wrong, or the runner needs another flag.
    """
    runner = import_runner(runner_flag(flags) or "FnApiRunner")
    names = flag_names(flags)
    passed_on = tuple(name for name in names if name not in beam_flag_names())
    with _one_line():
        found = BeamOptions(runner, PipelineOptions(list(flags)), passed_on)
        if found.is_local:
            _set_local(found.view(DirectOptions), num_tasks)
        elif found.name == "DaskRunner":
            from apache_beam.runners.dask.dask_runner import DaskOptions

            found.view(DaskOptions)  # refuses wrong values
        else:
            _set_portable(found, names)
    return found


def _set_local(direct: Any, num_tasks: int) -> None:
    if direct.direct_running_mode == "multi_threading":
        direct.direct_num_workers = min(direct.direct_num_workers or num_cores(), num_tasks)
    else:
        direct.direct_running_mode, direct.direct_num_workers = "in_memory", 1


def _set_portable(found: BeamOptions, names: Sequence[str]) -> None:
    portable, debug = found.view(PortableOptions), found.view(DebugOptions)
    if debug.lookup_experiment(_NO_PACKAGE_LIST, None) is None:
        debug.add_experiment(_NO_PACKAGE_LIST)
    if not {"job_server_timeout", "job-server-timeout"} & set(names):
        portable.job_server_timeout = _JOB_SERVER_SECONDS
    if portable.environment_type or found.name not in PORTABLE:
        return
    if found.name == "PortableRunner" and not portable.job_endpoint:
        raise UsageError(
            "--runner=PortableRunner: needs --job_endpoint=HOST:PORT, where a job server listens; "
            "FlinkRunner, SparkRunner and PrismRunner can start theirs"
        )
    if _is_here(found):
        portable.environment_type = "LOOPBACK"
        return
    raise UsageError(
        f"--runner={found.name}: needs --environment_type, as Beam's own container lacks seqmill; expected "
        "EXTERNAL with --environment_config=HOST:PORT of a worker pool, PROCESS, or DOCKER with an image of "
        "yours"
    )


def _is_here(found: BeamOptions) -> bool:
    """Whether a job server and its workers are on this machine, as far as flags tell."""
    endpoint = found.view(PortableOptions).job_endpoint
    if endpoint or found.name == "PrismRunner":
        return endpoint in (None, "embed") or is_this_machine(endpoint)
    flink, spark = (
        found.view(FlinkRunnerOptions).flink_master,
        found.view(SparkRunnerOptions).spark_master_url,
    )
    return (flink if found.name == "FlinkRunner" else spark).startswith(_LOCAL_MASTERS)


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Beam's parser would end the process, with a page of usage."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit:
        _, _, message = said.getvalue().strip().rpartition("error: argument ")
        raise UsageError(message or "wrong value of a flag of Beam's") from None
