"""Where Prism is, Beam's own portable runner, and how a command starts it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PrismRunnerOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.version import __version__ as beam_version

from seqmill.pipelines.beam_options import BeamOptions
from seqmill.transforms.storage.errors import SeqmillError

_INSTALL = f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"


def prism_command(options: BeamOptions) -> tuple[list[Any], str]:
    """How Prism is started, and where it listens then; Beam downloads it where it is not installed.

    Raises:
        SeqmillError: It is not there, and cannot be downloaded.
    """
    prism = options.view(PrismRunnerOptions)
    installed = shutil.which("prism") or shutil.which(Path.home() / "go" / "bin" / "prism")
    given = prism.prism_location
    if given and "://" not in given and not Path(given).is_file():
        raise SeqmillError(f"--prism_location={given}: no such file; {_INSTALL}")
    prism.prism_location = given or installed
    try:
        return PrismJobServer(options.options).subprocess_cmd_and_endpoint()
    except Exception as error:
        raise SeqmillError(
            f"Prism is not installed and cannot be downloaded ({error}); {_INSTALL}, and name it "
            "by --prism_location"
        ) from None
