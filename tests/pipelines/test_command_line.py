"""Commands, help and exit codes; whole runs are in tests/integration."""

import subprocess
import sys

import pytest

import seqmill
from seqmill.pipelines.config import global_options
from seqmill.pipelines.main import main


def ends(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    captured = capsys.readouterr()
    return end.value.code, captured.out, captured.err


def test_help_names_the_commands(capsys):
    code, out, _ = ends(capsys, "--help")
    assert code == 0
    for command in ("ingest", "plan", "preprocess", "verify", "show"):
        assert command in out


@pytest.mark.parametrize("command", ["ingest", "plan", "preprocess"])
def test_help_of_a_command_explains_every_option(capsys, command):
    code, out, _ = ends(capsys, command, "--help")
    assert code == 0
    for name, field in global_options().items():
        assert field.description
        assert f"--{name}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["plann", "x"], "invalid choice: 'plann'"),
        (["plan"], "CONFIG"),
        (["plan", "none.toml"], "none.toml: no such configuration file"),
        (["plan", "."], ".: a folder; expected a TOML file, as `seqmill init` writes it"),
        (["plan", "none.toml", "other.toml"], "other.toml: unexpected argument"),
        (["plan", "none.toml", "-x"], "-x: unexpected argument"),
        (["plan", "none.toml", "--bath_size=3"], "--bath_size: unknown option; did you mean --batch_size?"),
        (["plan", "none.toml", "--runer=x"], "--runer: unknown option; did you mean --runner?"),
        (["plan", "none.toml", "--runner=no.such.Runner"], "--runner=no.such.Runner: cannot be imported"),
        (["run", "none.toml", "--runner=Foo"], "--runner=Foo: no such runner; expected one of"),
        (["run", "none.toml", "--runner=DirectRuner"], "did you mean DirectRunner?"),
        (["run", "none.toml", "--runner", "json.Foo"], "--runner=json.Foo: json has no class Foo"),
        (["run", "--runner", "dask", "none.toml"], "none.toml: no such configuration file"),
        (["run", "none.toml", "--runner"], "--runner: expected one argument"),
        (
            ["run", "none.toml", "--dask_client_address=tcp://h:1"],
            "--dask_client_address: only a runner heeds it; expected --runner=DaskRunner, too",
        ),
        (
            ["run", "none.toml", "--dask_partition_size=x", "--runner=dask"],
            "--dask_partition_size: invalid int",
        ),
        (["run", "none.toml", "--parallelism", "x", "--runner", "flink"], "--parallelism: invalid int value"),
        (["run", "none.toml", "--runner=portable"], "needs --job_endpoint=HOST:PORT"),
        (["run", "none.toml", "--runner=prism", "--job_endpoint=1.2.3.4:5"], "needs --environment_type"),
        (["run", "none.toml", "--runner=prism", "--job_endpint=h:1"], "did you mean --job_endpoint?"),
        (["run", "none.toml", "--runner=dask", "--number_of_execution_retries=1"], "unknown option"),
        (
            ["ingest", "none.toml", "--direct_num_workers=two"],
            "--direct_num_workers: invalid int value: 'two'",
        ),
        (["ingest", "none.toml", "--direct_num_workers", "-1"], "--direct_num_workers: found -1; expected"),
        (["ingest", "none.toml", "--direct_running_mode=threads"], "--direct_running_mode: invalid choice"),
        (["preprocess", "none.toml", "--dry_run=True"], "--dry_run: unknown option; use `seqmill plan`"),
        (["ingest", "none.toml", "--dry-run"], "--dry-run: unknown option; use `seqmill plan`"),
        (["run", "none.toml", "--dryrun"], "--dryrun: unknown option; use `seqmill plan`"),
        (["train", "none.toml", "--dry_run"], "--dry_run: an option of cleanup, not of train"),
        (
            ["train", "none.toml", "--check"],
            "--check: an option of ingest, preprocess, run, not of train",
        ),
        (
            ["plan", "none.toml", "--copus.dev.seed=3"],
            "unknown option; did you mean corpus?",
        ),
        (["plan", "none.toml", "--corpus.seed=3"], "--corpus.seed=3: expected --corpus.NAME.OPTION=VALUE"),
        (
            ["plan", "none.toml", "--corpus.dev.seed"],
            "expected --corpus.NAME.OPTION=VALUE",
        ),
        (["verify", "x", "--jsno"], "--jsno: unknown option"),
        (["show", ".", "--bach=3"], "--bach=3: unknown option; did you mean --batch?"),
        (["show", ".", "--batch=-3"], "--batch: found -3; expected a number of at least 0"),
        (["show", ".", "--num_batches=0"], "--num_batches: found 0"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(capsys, arguments, message):
    code, _, err = ends(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["verify", "show"])
def test_folders_without_batches(capsys, tmp_path, command):
    assert ends(capsys, command, str(tmp_path / "none"))[::2] == (
        2,
        f"seqmill: {tmp_path}/none: no such folder\n",
    )
    code, _, err = ends(capsys, command, str(tmp_path))
    assert code == 1
    assert f"{tmp_path}: no manifest.json: incomplete" in err


def test_version(capsys):
    assert ends(capsys, "--version") == (0, f"seqmill {seqmill.__version__}\n", "")


def test_help_and_mistakes_load_nothing_heavy():
    code = """
import sys
from seqmill.pipelines.main import main
for arguments in (["--help"], ["plan", "--help"], ["plan", "none.toml", "--max_seq=3"]):
    try:
        main(arguments)
    except SystemExit:
        heavy = {"apache_beam", "tensorflow", "keras", "pandas"} & sys.modules.keys()
        assert not heavy or arguments[-1].startswith("--max"), (arguments, heavy)
        assert arguments != ["--help"] or "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
