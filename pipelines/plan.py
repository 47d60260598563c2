"""``seqmill plan``: what preprocess would write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from seqmill.pipelines import console
from seqmill.pipelines.cores import num_cores, num_processes
from seqmill.pipelines.engine import START_SECONDS, Engine
from seqmill.pipelines.epochs_step import free_bytes
from seqmill.pipelines.ingest import ingest_scanned, is_ingested
from seqmill.pipelines.needed_epochs import most_at_once
from seqmill.pipelines.options import TRAIN, Config
from seqmill.pipelines.plan_report import CorpusReport, report_corpus
from seqmill.pipelines.preprocess import warn_of_options
from seqmill.pipelines.scan import scan
from seqmill.pipelines.shared_stores import check_shared_stores, reading_stores
from seqmill.pipelines.write_rate import WriteRate
from seqmill.transforms.batches.layout import check_selections, lay_out, planned_as_there
from seqmill.transforms.batches.unchunkable import check_unchunkable
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.locks import only_writer, reader
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.sequence_store import Store

_LEAST_MEASURED = 1_000_000  # bytes


def plan(config: Config, beam_flags: Sequence[str] = (), rate: WriteRate | None = None) -> list[CorpusReport]:
    """What ``preprocess`` would write, per corpus; ingests first if needed.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.
        rate: Measures on batches of every corpus how fast they would be written.

    Raises:
        SeqmillError: Bad input, nothing to write, or what ``preprocess`` would refuse but for lack of space,
            which is a warning.

    >>> import seqmill
    >>> (report,) = seqmill.plan(seqmill.load_config("config.toml"))
    >>> report.corpus, report.epochs[0].num_batches, report.epochs[0].num_seqs
    ('train', 3, 8)
    """
    warn_of_options(config)
    ingest_if_needed(config, beam_flags)
    with reader(config.output, "plan"), reading_stores(config, "plan"):
        return [_plan_corpus(config, name, rate) for name in config.corpus]


def ingest_if_needed(config: Config, beam_flags: Sequence[str] = ()) -> None:
    """Brings the stores of a configuration up to date; needs no lock where they are. Raises SeqmillError."""
    if config.store is not None:
        check_shared_stores(config)
    elif not is_ingested(scanned := scan(config)):
        with only_writer(config.output, "run"), Engine(beam_flags) as engine:
            ingest_scanned(scanned, engine)


def totals(config: Config, reports: Sequence[CorpusReport], rate: WriteRate) -> Iterator[str]:
    """What all corpora come to: bytes in all, free space, and the time that writing is expected to take.

    Args:
        config: The configuration.
        reports: What ``plan`` gave.
        rate: What it measured.
    """
    sizes = [epoch.bytes for report in reports for epoch in report.epochs]
    free = free_bytes(config.output)
    room = "" if free is None else f"; {free:,} bytes are free"
    epochs = counted(len(sizes), "epoch")
    if config.read_from == "store":
        yield f"in all {epochs}, gathered from the store while training: nothing to write{room}"
        return
    yield f"in all {sum(sizes):,} bytes in {epochs}{room}"
    if (speed := rate.bytes_per_second) is not None:
        seconds = sum(sizes) / speed
        shards = sum(epoch.num_shards for report in reports for epoch in report.epochs)
        processes = num_processes(seconds, shards, num_cores(), START_SECONDS)
        on = counted(processes, "process", "processes")
        yield f"expected: {_time(seconds / processes)} on {on} of this machine{_at(speed, rate.bytes)}"


def _at(speed: float, measured: int) -> str:
    """How fast one process is; nothing where so little was measured that it says how long beginning takes."""
    if measured < _LEAST_MEASURED:
        return ""
    form = ",.0f" if speed >= 10e6 else ",.1f"
    size = f"{measured / 1e6:,.1f} MB, disk not included"
    return f", at {speed / 1e6:{form}} MB/s each (measured on {size})"


def _time(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _plan_corpus(config: Config, name: str, rate: WriteRate | None) -> CorpusReport:
    store = Store(output_folder.store_folder(config.store_output, name))
    folder = output_folder.epochs_folder(config.output, name)
    selections = planned_as_there(folder, store, config.schedule_of(name))
    check_selections(store, selections)
    check_unchunkable(store, selections, config.corpus[name].max_rejected)
    layouts = lay_out(store, selections)
    if rate is not None:
        first = next(layouts)
        rate.measure(store, selections.schedule, first)
        layouts = chain([first], layouts)
    report = report_corpus(store, selections, layouts)
    free = free_bytes(config.output)
    sizes = {epoch.epoch: epoch.bytes for epoch in report.epochs}
    needed = most_at_once(config, sizes) if name == TRAIN else sum(sizes.values())
    if name == TRAIN and config.epochs_ahead is not None:
        console.say(
            f"plan {name}: epochs_ahead = {config.epochs_ahead}: {needed:,} of {sum(sizes.values()):,} bytes "
            "lie on disk at once, at most"
        )
    if config.read_from == "shards" and free is not None and needed > free:
        console.say(f"warning: {config.output}: {name} needs {needed:,} bytes, {free:,} bytes are free")
    return report
