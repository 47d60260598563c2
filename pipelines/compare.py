"""``seqmill plan --compare``: what combinations of options would come to, from lengths alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from seqmill.pipelines.config import load_config
from seqmill.pipelines.cores import num_cores
from seqmill.pipelines.options import TRAIN, Config
from seqmill.pipelines.pareto import front
from seqmill.pipelines.plan import ingest_if_needed
from seqmill.pipelines.shared_stores import reading_stores
from seqmill.pipelines.value_lists import combinations
from seqmill.transforms.batches.layout import check_selection
from seqmill.transforms.batches.record import LARGEST_RECORD, record_sizes
from seqmill.transforms.planning.entries import Entries
from seqmill.transforms.planning.length_buckets import first_pass, time_axes
from seqmill.transforms.planning.order import part_bounds
from seqmill.transforms.planning.plan import (
    EpochOptions,
    Selection,
    cut_entries,
    distinct_shapes,
    order_epoch,
)
from seqmill.transforms.planning.randomness import randomness
from seqmill.transforms.records.tfrecord import FRAME_BYTES
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import reader
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.sequence_store import Store


@dataclass(frozen=True)
class Figures:
    """What a combination of options comes to in the first pass over the corpus.

    Attributes:
        kept: Sequences that take part.
        num_batches: Batches of the pass.
        epochs_per_pass: Epochs of the pass.
        steps_per_epoch: Batches of an epoch, a mean over those of the pass.
        padding: Per data key the share of the frames of training steps that hold nothing.
        padding_bytes: The same of the bytes of all arrays together.
        num_shapes: Different shapes of batches.
        batch_frames: Frames of the smallest and the largest batch in the length key, padding included.
        batch_bytes: Bytes of the smallest and the largest batch, all arrays as a model is given them.
        randomness: Of the order; see ``planning.randomness``.
        bytes: Of an epoch on disk, a mean over those of the pass.
        oversized: Sequences that alone are over ``batch_size``.
        largest_record: Bytes of the largest record.
    """

    kept: int
    num_batches: int
    epochs_per_pass: int
    steps_per_epoch: float
    padding: Mapping[str, float]
    padding_bytes: float
    num_shapes: int
    batch_frames: tuple[int, int]
    batch_bytes: tuple[int, int]
    randomness: float
    bytes: int
    oversized: int
    largest_record: int

    @property
    def is_refused(self) -> bool:
        """Whether preprocess would refuse it, as nobody can parse its largest record."""
        return self.largest_record > LARGEST_RECORD


@dataclass(frozen=True)
class Row:
    """A combination of options.

    Attributes:
        options: Those with several values, as they were given.
        figures: What it comes to.
        is_best: Whether no other pads less (in bytes) and is as random, or is more random and pads no more.
        is_best_of_its_size: The same among combinations of equal limits of a batch.
    """

    options: Mapping[str, str]
    figures: Figures
    is_best: bool
    is_best_of_its_size: bool

    def to_json(self) -> dict[str, Any]:
        """The row as JSON values."""
        return asdict(self)


def compare(path: str, flags: Mapping[str, str], beam_flags: Sequence[str] = ()) -> list[Row]:
    """Compares all combinations of options that flags list values of; ingests first if needed.

    Of a configuration with ``[[schedule]]`` the epochs are compared that no table names.

    Args:
        path: The configuration.
        flags: Values as on the command line, by option: ``{"batch_size": "4000,8000"}``.
        beam_flags: Beam's own flags, for ingesting.

    Raises:
        UsageError: Options are wrong, or have no values to compare.
        SeqmillError: A combination leaves no sequence, or too few for its epochs.

    >>> rows = compare("config.toml", {"seq_ordering": "random,sorted", "max_seqs": "2,4"})
    >>> [(row.options["seq_ordering"], row.figures.steps_per_epoch) for row in rows]
    [('random', 4.0), ('random', 3.0), ('sorted', 4.0), ('sorted', 2.0)]
    """
    varied, combined = combinations(flags)
    corpus = _corpus(varied)
    configs = [load_config(path, one) for one in combined]
    schedules = [_options(config, corpus) for config in configs]
    _check_each_varies(varied, combined, schedules, corpus)
    ingest_if_needed(configs[0], beam_flags)
    with reader(configs[0].output, "plan"), reading_stores(configs[0], "plan"):
        store = Store(output_folder.store_folder(configs[0].store_output, corpus))
        found = figures_of(store, schedules)
    best, of_size = best_of(found, schedules)
    return [
        Row({flag: one[flag] for flag in varied}, figures, place in best, place in of_size)
        for place, (one, figures) in enumerate(zip(combined, found, strict=True))
    ]


def best_of(found: Sequence[Figures], all_options: Sequence[EpochOptions]) -> tuple[set[int], set[int]]:
    """Which combinations no other one beats in both padding and randomness.

    Args:
        found: What they come to.
        all_options: The combinations.

    Returns:
        Their numbers: among all, and among those of equal limits of a batch.
    """
    worth = [(round(one.padding_bytes, 3), min(round(one.randomness, 2), 1.0)) for one in found]
    sizes = [repr(replace(options.batch_limits, padded_lengths={})) for options in all_options]
    of_size: set[int] = set()
    for size in set(sizes):
        places = [place for place, other in enumerate(sizes) if other == size]
        of_size |= {places[place] for place in front([worth[place] for place in places])}
    return front(worth), of_size


def _corpus(varied: Iterable[str]) -> str:
    """The corpus whose epochs are compared: the one that flags name, or ``train``."""
    named = {flag.removeprefix("corpus.").rpartition(".")[0] for flag in varied if flag.startswith("corpus.")}
    if len(named) > 1:
        raise UsageError(f"--compare: options of {', '.join(sorted(named))}; expected those of one corpus")
    return named.pop() if named else TRAIN


def _options(config: Config, corpus: str) -> EpochOptions:
    if corpus not in config.corpus:
        names = ", ".join(f"--corpus.{name}.OPTION" for name in config.corpus)
        raise UsageError(f"--compare: there is no corpus.{corpus}; expected options of another, {names}")
    return config.schedule_of(corpus).options


def _check_each_varies(
    varied: Iterable[str], combined: list[dict[str, str]], found: list[EpochOptions], corpus: str
) -> None:
    """Refuses a list of values none of which changes anything, as the corpus has its own."""
    for flag in varied:
        by_rest: dict[str, set[str]] = {}
        for one, options in zip(combined, found, strict=True):
            rest = repr({name: value for name, value in one.items() if name != flag})
            by_rest.setdefault(rest, set()).add(repr(options))
        if all(len(different) == 1 for different in by_rest.values()):
            option = flag.rpartition(".")[2]
            raise UsageError(
                f"--{flag}: its values change nothing of corpus.{corpus}; does [corpus.{corpus}] set "
                f"{option} itself (then --corpus.{corpus}.{option}), or are they the same?"
            )


def figures_of(store: Store, all_options: Sequence[EpochOptions]) -> list[Figures]:
    """What combinations of options come to; those that drop, chunk and order alike share that.

    Args:
        store: The corpus' store, of which lengths and sizes of tags are read.
        all_options: What epochs would be planned by, for each combination.

    Raises:
        SeqmillError: A combination leaves no sequence, or too few for its epochs.
    """
    groups: dict[str, dict[str, list[int]]] = {}
    for number, options in enumerate(all_options):
        taking_part = repr((options.num_seqs, options.mix, options.length_limits, options.chunking))
        order = repr((options.ordering, options.length_key, options.seed, options.fixed_random_seed))
        groups.setdefault(taking_part, {}).setdefault(order, []).append(number)
    found: dict[int, Figures] = {}
    for by_order in groups.values():
        selection = store.order.select(all_options[next(iter(by_order.values()))[0]])

        def do(members: list[int], selection: Selection = selection) -> None:
            combined = {number: all_options[number] for number in members}
            found.update(_figures_of_order(store, selection, combined))

        with ThreadPoolExecutor(num_cores()) as pool:
            for _ in pool.map(do, by_order.values()):
                pass
    return [found[number] for number in range(len(all_options))]


def _figures_of_order(
    store: Store, selection: Selection, combined: Mapping[int, EpochOptions]
) -> dict[int, Figures]:
    options = next(iter(combined.values()))
    check_selection(store, selection, options.mix)
    whole = first_pass(selection, options)
    is_first = slice(None) if whole.chunk is None else whole.chunk == 0
    mixed = randomness(store.lengths[options.length_key][whole.seq_index[is_first]])
    return {number: _figures(store, selection, whole, one, mixed) for number, one in combined.items()}


def _figures(
    store: Store, selection: Selection, whole: Entries, options: EpochOptions, mixed: float
) -> Figures:
    limits = replace(options.batch_limits, padded_lengths=time_axes(whole, options.batch_limits))
    num_seqs = len(selection.rows)
    parts: Iterable[Entries]
    if options.mix:
        epochs = range(1, options.partition_epoch + 1)
        parts = (order_epoch(selection, replace(options, order_shift=0), epoch) for epoch in epochs)
    else:
        parts = _parts(whole, options.partition_epoch, num_seqs)
    plans = [cut_entries(part, limits, 1) for part in parts]
    if len(plans) < options.partition_epoch:
        raise SeqmillError(
            f"corpus {store.manifest.corpus}: partition_epoch = {options.partition_epoch}, but only "
            f"{counted(num_seqs, 'sequence')}"
        )
    frames = {key: np.concatenate([plan.step_frames[key] for plan in plans]) for key in store.data_keys}
    true = {key: sum(plan.num_frames[key] for plan in plans) for key in store.data_keys}
    frame_bytes = {key: s.batch_dtype.itemsize * s.frame_size for key, s in store.data_keys.items()}
    batch_bytes = np.sum([frames[key] * size for key, size in frame_bytes.items()], axis=0)
    records = np.concatenate([record_sizes(plan, store.data_keys, store.tag_sizes) for plan in plans])
    of_length_key = frames[options.length_key]
    return Figures(
        kept=num_seqs,
        num_batches=len(batch_bytes),
        epochs_per_pass=len(plans),
        steps_per_epoch=len(batch_bytes) / len(plans),
        padding={key: 1 - true[key] / int(frames[key].sum()) for key in frames},
        padding_bytes=1 - sum(true[key] * size for key, size in frame_bytes.items()) / int(batch_bytes.sum()),
        num_shapes=len(distinct_shapes(plans)),
        batch_frames=(int(of_length_key.min()), int(of_length_key.max())),
        batch_bytes=(int(batch_bytes.min()), int(batch_bytes.max())),
        randomness=mixed,
        bytes=int(records.sum()) // len(plans),
        oversized=sum(plan.oversized for plan in plans),
        largest_record=int(records.max()) - FRAME_BYTES,
    )


def _parts(whole: Entries, parts: int, num_seqs: int) -> Iterator[Entries]:
    """The entries of each epoch of a pass, of those that have any."""
    firsts = None if whole.chunk is None else np.append(np.flatnonzero(whole.chunk == 0), len(whole.chunk))
    for part in range(min(parts, num_seqs)):
        bounds = part_bounds(num_seqs, parts, part)
        start, end = bounds if firsts is None else (int(firsts[bounds[0]]), int(firsts[bounds[1]]))
        here = slice(start, end)
        yield Entries(
            seq_index=whole.seq_index[here],
            chunk=None if whole.chunk is None else whole.chunk[here],
            lengths={key: column[here] for key, column in whole.lengths.items()},
            chunk_start=whole.chunk_start[here],
        )
