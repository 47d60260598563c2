"""Ingest against bare loops over the same input, per core, and two workers against one.

    python -m benchmarks.ingest --folder /dev/shm

The bare jsonl loop parses each line with orjson and makes a NumPy array of every data key; the bare audio
loop reads each file with soundfile and computes its features with kaldi-native-fbank. Neither checks or
writes anything. ``seqmill`` is the work of the real tasks (reading, checks, hashes, Arrow files, receipts) in
the same process; runs alternate and the fastest of each counts. The workers' rows are whole steps in
worker processes from the moment the first worker begins.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import orjson
import soundfile

from benchmarks import common
from benchmarks.common import Took
from seqmill.transforms.beam.step import Part
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.readers import split_corpus
from seqmill.transforms.storage import files
from seqmill.transforms.storage.current_run import begin_run
from seqmill.transforms.store.finish_store import FinishStore
from seqmill.transforms.store.ingest import IngestSplits, IngestTask

_RATE = 16_000
_AUDIO_KEYS = (DataKey("data", "audio_filepath", "log_mel"),)
_AUDIO_SPECS = {"data": ArraySpec("log_mel", "<f4", (80,))}
_INT_KEYS = (DataKey("data", "data", "ints"), DataKey("classes", "classes", "ints"))

_RUN = "benchmark"


def main() -> None:
    """Measures both kinds of input and prints a table."""
    parser = common.parser(
        __doc__ or "",
        megabytes=(200.0, "size of the jsonl file"),
        minutes=(100.0, "length of all audio files"),
        workers=(2, "processes, against one"),
        rounds=(3, "runs of each, of which the fastest counts"),
    )
    args = parser.parse_args()
    with common.scratch(args.folder) as folder:
        lines, audio = corpora(folder, args.megabytes, args.minutes)
        rows = [*_measure(lines, bare_jsonl, args), *_measure(audio, bare_audio, args)]
    columns = ("", "input", "input MB", "sequences", "wall s", "CPU s", "seqs/CPU s", "ratio")
    note = "ratio: seqmill's speed per CPU second to the bare loop's; speed of several workers to one's"
    common.print_table("ingest", columns, rows, note)


@dataclass(frozen=True)
class Corpus:
    """Raw input and how it is ingested.

    Attributes:
        name: What it is.
        path: The file.
        split_bytes: Of a task.
        keys: Its data keys.
        specs: What their arrays are like.
        folder: Where a store may be written.
    """

    name: str
    path: str
    split_bytes: int
    keys: tuple[DataKey, ...]
    specs: dict[str, ArraySpec]
    folder: str

    @property
    def tasks(self) -> list[IngestTask]:
        """A task per split."""
        splits = split_corpus("jsonl", [self.path], self.split_bytes)
        return [IngestTask(index, split, f"{index}", 1) for index, split in enumerate(splits)]

    def begin(self) -> IngestSplits:
        """What does tasks, its folder ready for them."""
        begin_run(self.folder, _RUN)
        return IngestSplits(self.folder, self.keys, self.specs, {}, _RUN)

    def ingest(self, workers: int) -> Took:
        """Ingests all of it in worker processes, as a step of its own, and removes the store."""
        tasks, notes = self.tasks, f"{self.folder}-notes"
        finish = FinishStore(
            folder=self.folder,
            corpus="train",
            sources=(files.name(self.path),) * len(tasks),
            data_keys=self.specs,
            has_tags=False,
            fingerprint="",
            splits=tuple(task.fingerprint for task in tasks),
            max_rejected=0,
            allow_damaged=False,
            vocab_files={},
            run=_RUN,
        )
        timed = common.Timed(self.begin(), notes)
        part = Part("train", self.folder, tasks, [task.work for task in tasks], timed, finish)
        with contextlib.redirect_stderr(io.StringIO()):
            took = common.run_step(part, notes, workers)
        files.remove(self.folder)
        files.remove(notes)
        return took


def corpora(folder: str, megabytes: float, minutes: float) -> tuple[Corpus, Corpus]:
    """Writes a jsonl file of integers, and audio files that another one names."""
    lines, manifest = f"{folder}/corpus.jsonl", f"{folder}/audio/manifest.jsonl"
    _write_jsonl(lines, megabytes * 1e6)
    _write_audio(manifest, minutes * 60)
    return (
        Corpus("jsonl, ints", lines, 16_000_000, _INT_KEYS, common.INTS, f"{folder}/store"),
        Corpus("audio, log_mel", manifest, 500, _AUDIO_KEYS, _AUDIO_SPECS, f"{folder}/store"),
    )


def bare_jsonl(path: str) -> None:
    """Parses lines with orjson into NumPy arrays."""
    with Path(path).open("rb") as file:
        for line in file:
            record = orjson.loads(line)
            np.array(record["data"], np.int32)
            np.array(record["classes"], np.int32)


def bare_audio(path: str) -> None:
    """Computes log mel features of the files that a manifest names."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = _RATE
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    for line in Path(path).read_bytes().splitlines():
        samples, rate = soundfile.read(
            Path(path).parent / orjson.loads(line)["audio_filepath"], dtype="float32"
        )
        computer = kaldi_native_fbank.OnlineFbank(options)
        computer.accept_waveform(rate, (samples * np.float32(32768)).tolist())
        computer.input_finished()
        np.stack([computer.get_frame(frame) for frame in range(computer.num_frames_ready)])


def _measure(corpus: Corpus, bare: Callable[[str], None], args: argparse.Namespace) -> list[Sequence[object]]:
    num_seqs = Path(corpus.path).read_bytes().count(b"\n")
    size = files.size(corpus.path) / 1e6
    loops, ours = [], []
    for _ in range(args.rounds):
        loops.append(_clocked(lambda: bare(corpus.path)))
        work, tasks = corpus.begin(), corpus.tasks
        ours.append(_clocked(lambda w=work, t=tasks: [w(task) for task in t]))
        files.remove(corpus.folder)
    runs = {workers: corpus.ingest(workers) for workers in (1, args.workers)}
    loop, our = min(loops, key=_cpu), min(ours, key=_cpu)
    one = runs[1].wall
    rows = [("bare loop", *loop, 1.0), ("seqmill tasks", *our, loop[1] / our[1])]
    rows += [(f"seqmill, {n} workers", run.wall, run.cpu, one / run.wall) for n, run in runs.items()]
    return [
        (
            name,
            corpus.name,
            f"{size:,.0f}",
            f"{num_seqs:,}",
            f"{wall:.2f}",
            f"{cpu:.2f}",
            f"{num_seqs / cpu:,.0f}",
            f"{ratio:.2f}",
        )
        for name, wall, cpu, ratio in rows
    ]


def _clocked(run: Callable[[], object]) -> tuple[float, float]:
    start, cpu = time.monotonic(), time.process_time()
    run()
    return time.monotonic() - start, time.process_time() - cpu


def _cpu(took: tuple[float, float]) -> float:
    return took[1]


def _write_jsonl(path: str, num_bytes: float) -> None:
    with Path(path).open("wb") as file:
        seed = 0
        while file.tell() < num_bytes:
            (block,) = common.int_blocks(10_000, seed := seed + 1)
            columns = [
                np.split(block[key].values, np.cumsum(block[key].lengths)[:-1]) for key in ("data", "classes")
            ]
            for data, classes in zip(*columns, strict=True):
                record = {"data": data, "classes": classes}
                file.write(orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


def _write_audio(path: str, seconds: float) -> None:
    rng = np.random.default_rng(1)
    files.make_folder(files.parent(path))
    entries = []
    while seconds > 0:
        length = float(rng.uniform(2, 15))
        name = f"{len(entries):05d}.wav"
        samples = (rng.standard_normal(int(length * _RATE)) * 3000).astype(np.int16)
        soundfile.write(f"{files.parent(path)}/{name}", samples, _RATE)
        entries.append(orjson.dumps({"audio_filepath": name, "text": "", "duration": length}) + b"\n")
        seconds -= length
    Path(path).write_bytes(b"".join(entries))


if __name__ == "__main__":
    main()
