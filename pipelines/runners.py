"""Runners of Beam's, as users name them: ``dask``, ``DaskRunner``, or a class with its module."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from seqmill.transforms.storage.errors import UsageError

PORTABLE = ("PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner")
"""Runners with a job server whose workers have a default."""

_DASK = "apache_beam.runners.dask.dask_runner.DaskRunner"  # not among those that Beam lists
_LOCAL = ("FnApiRunner", "DirectRunner", "SwitchingDirectRunner")
_JOB_SERVERS = (*PORTABLE, "KafkaStreamsRunner")
_EXTRAS = {
    "DaskRunner": ("distributed", "pip install 'seqmill[dask]'"),
    "DataflowRunner": ("google.cloud.dataflow_v1beta3", "pip install 'apache-beam[gcp]'"),
    "InteractiveRunner": ("IPython", "pip install 'apache-beam[interactive]'"),
}


VALUE_FLAGS = (
    *("runner", "direct_num_workers", "direct_running_mode"),
    *("job_endpoint", "artifact_endpoint", "job_server_timeout", "environment_type", "environment_config"),
    *("prism_location", "flink_master", "flink_version", "spark_master_url", "spark_version"),
    *("parallelism", "sdk_worker_parallelism", "project", "region", "temp_location", "staging_location"),
    *("dask_client_address", "dask_scheduler_file", "dask_npartitions", "dask_partition_size"),
)
"""Flags of Beam's that have a value, which may stand behind a space."""


def with_values(arguments: Sequence[str]) -> list[str]:
    """A command line in which values of Beam's flags stand behind ``=``: they are not taken for a CONFIG.

    >>> from seqmill.pipelines.runners import with_values
    >>> with_values(["plan", "--runner", "dask", "config.toml"])
    ['plan', '--runner=dask', 'config.toml']
    """
    found: list[str] = []
    for argument in arguments:
        is_value = bool(found) and found[-1].startswith("--") and found[-1][2:] in VALUE_FLAGS
        if is_value and not argument.startswith("--"):
            found[-1] = f"{found[-1]}={argument}"
        else:
            found.append(argument)
    return found


def class_name(runner: str) -> str:
    """The name of a runner's class, as far as it is known without Beam.

    >>> from seqmill.pipelines.runners import class_name
    >>> class_name("direct"), class_name("apache_beam.runners.dask.dask_runner.DaskRunner")
    ('DirectRunner', 'DaskRunner')
    """
    last = runner.rpartition(".")[2]
    names = {name.lower(): name for name in (*_LOCAL, *_JOB_SERVERS, *_EXTRAS)}
    return names.get(last.lower()) or names.get(f"{last.lower()}runner") or last


def is_local(runner: str) -> bool:
    """Whether a runner is Beam's local one, by whichever name."""
    return class_name(runner) in _LOCAL


def has_job_server(runner: str) -> bool:
    """Whether jobs go to a server, which may know flags that neither Beam nor seqmill does."""
    return class_name(runner) in _JOB_SERVERS


def import_runner(runner: str) -> type:
    """The class of a runner; flags that its module defines are known to Beam from then on.

    Raises:
        UsageError: There is none, or it needs what is not installed.
    """
    from apache_beam.options.pipeline_options import StandardOptions

    known = (*StandardOptions.ALL_KNOWN_RUNNERS, _DASK)
    paths = {path.rpartition(".")[2].lower(): path for path in known}
    path = paths.get(runner.lower()) or paths.get(f"{runner.lower()}runner") or runner
    module, _, name = path.rpartition(".")
    if not module:
        # Imported here: it loads pydantic, which help does without.
        from seqmill.transforms.storage.checked_options import did_you_mean

        names = [path.rpartition(".")[2] for path in known if ".test." not in path]
        expected = f"one of {', '.join(names)}, or a class with its module{did_you_mean(runner, names)}"
        raise UsageError(f"--runner={runner}: no such runner; expected {expected}")
    needed, command = _EXTRAS.get(name, ("", ""))
    try:
        if needed:
            import_module(needed)
        found = getattr(import_module(module), name, None)
    except (ImportError, ValueError) as error:
        remedy = f"; {command}" if command else ""
        raise UsageError(f"--runner={runner}: cannot be imported ({error}){remedy}") from None
    if not isinstance(found, type):
        raise UsageError(f"--runner={runner}: {module} has no class {name}")
    return found
