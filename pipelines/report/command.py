"""``seqmill report``: a corpus, its epochs and a training in one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seqmill.pipelines.options import TRAIN, Config
from seqmill.pipelines.plan import ingest_if_needed
from seqmill.pipelines.report import batches, choices, labels, lengths, overview, rejects, scores, shown
from seqmill.pipelines.report.page import BEGINNING, Section, page
from seqmill.pipelines.shared_stores import reading_stores
from seqmill.transforms.batches.layout import check_selections, lay_out, planned_as_there
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.extras import require
from seqmill.transforms.storage.locks import reader
from seqmill.transforms.store.sequence_store import Store

_FILE_NAME = "report.html"


def report(config: Config, beam_flags: Sequence[str] = (), to: str | None = None) -> str:
    """Writes a report of the corpora of a configuration, and of its training where there is one.

    The file needs no network and no other file. Its size does not grow with the corpus: what is drawn are
    histograms and means.

    Args:
        config: The configuration; its corpora are ingested first if needed, epochs are only planned.
        beam_flags: Beam's own flags, for ingesting.
        to: Where to; default: ``output/report.html``.

    Returns:
        Where it is.

    Raises:
        UsageError: Something else than an earlier report is there already.
        SeqmillError: Plotly is not installed, or what ``plan`` raises.
    """
    require("plotly", "report", "seqmill report")
    to = to or files.join(config.output, _FILE_NAME)
    _check_replaceable(to)
    ingest_if_needed(config, beam_flags)
    with reader(config.output, "report"), reading_stores(config, "report"):
        sections = [*_sections(config)]
    with files.write_atomically(to) as file:
        file.write(page(f"seqmill: {files.name(config.output)}", sections).encode())
    return to


def _check_replaceable(path: str) -> None:
    """Refuses to write where anything but an earlier report is."""
    if not files.exists(path):
        return
    beginning = BEGINNING.encode()
    if files.is_file(path):
        with files.open_read(path, len(beginning)) as file:
            if file.read(len(beginning)) == beginning:
                return
    raise UsageError(f"{path}: is no earlier report, so it is not replaced; expected a new file (--to=FILE)")


def _sections(config: Config) -> Iterator[Section]:
    main = TRAIN if TRAIN in config.corpus else next(iter(config.corpus))
    stores = {name: Store(output_folder.store_folder(config.store_output, name)) for name in config.corpus}
    first, schedules = {}, {}
    for name, store in stores.items():
        folder = output_folder.epochs_folder(config.output, name)
        selections = planned_as_there(folder, store, config.schedule_of(name))
        check_selections(store, selections)
        schedules[name] = selections.schedule
        first[name] = next(lay_out(store, selections, list(selections.schedule.stored_epochs)[:1]))
    yield overview.section(stores, schedules, first)
    for name, store in stores.items():
        yield lengths.section(store, schedules[name].options)
    yield batches.section(stores[main], first[main])
    yield choices.section(stores[main], schedules[main].options)
    yield from labels.sections(stores[main])
    yield rejects.section(config.output, stores)
    yield shown.section(stores[main], schedules[main].options.length_key)
    yield scores.section(output_folder.model_folder(config.output))
