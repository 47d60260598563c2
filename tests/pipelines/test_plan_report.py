"""Figures of a plan for people and programs."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from seqmill.pipelines.plan import totals
from seqmill.pipelines.plan_report import CorpusReport, EpochReport, HistogramBin, histogram
from seqmill.pipelines.plan_tables import print_reports
from seqmill.pipelines.write_rate import WriteRate

EPOCH = EpochReport(
    epoch=1,
    num_batches=1234,
    num_seqs=5000,
    num_chunks=5000,
    num_frames={"data": 75_000},
    padded_frames={"data": 100_000},
    padding={"data": 0.25},
    smallest_batch=1,
    largest_batch=9,
    mean_batch=4.05,
    num_shapes=17,
    num_shards=2,
    bytes=1_000_000,
    oversized=3,
)
REPORT = CorpusReport(
    corpus="train",
    read=5007,
    kept=5000,
    dropped={"max_seq_length:x": 5},
    rejected={"not valid JSON": 2},
    length_key="data",
    lengths=(HistogramBin(1, 10, 4000), HistogramBin(11, 20, 1000)),
    num_epochs=1,
    num_steps=1234,
    schedule=(),
    epochs=(EPOCH,),
)


@pytest.mark.parametrize("lengths", [[5], [3, 3, 3], [1, 100], list(range(1, 38)), [7, 1, 2_000_000_000]])
def test_histogram_counts_every_length_once_in_at_most_ten_bins(lengths):
    array = np.array(lengths, np.int32)
    bins = histogram(array)
    assert 1 <= len(bins) <= 10
    assert bins[0].shortest == array.min()
    assert bins[-1].longest == array.max()
    assert all(a.longest + 1 == b.shortest for a, b in itertools.pairwise(bins))
    assert [b.num_seqs for b in bins] == [
        sum(b.shortest <= length <= b.longest for length in lengths) for b in bins
    ]


def test_tables_hold_every_figure(capsys):
    print_reports([REPORT], totals=["in all 7 bytes"])
    text = capsys.readouterr().out
    assert text.endswith("\n\nin all 7 bytes\n")
    text = " ".join(text.split())
    for part in (
        "corpus train: 5,007 read, 5,000 kept, 5 dropped (max_seq_length:x), 2 rejected (not valid JSON)",
        "1,234", "75,000", "25.0%", "1/4.1/9", "17", "1,000,000", "oversized", "4,000 ██████████",
    ):  # fmt: skip
        assert part in text
    assert "chunks" not in text


def test_chunks_are_shown_where_sequences_are_chunked(capsys):
    chunked = EpochReport(**{**vars(EPOCH), "num_chunks": 9999})
    print_reports([CorpusReport(**{**vars(REPORT), "epochs": (chunked,)})])
    assert "9,999" in capsys.readouterr().out


def test_no_figure_is_cut_off_at_80_columns(capsys):
    wide = replace(
        EPOCH,
        num_chunks=12_345_678,
        num_frames={"data": 1_234_567_890, "classes": 98_765_432},
        padding={"data": 0.25, "classes": 0.125},
        bytes=123_456_789_012,
    )
    print_reports([replace(REPORT, epochs=(wide,))])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    headings = [line for line in lines if line.lstrip().startswith("epoch ")]
    assert len(headings) == 3
    text = "\n".join(lines)
    for part in (
        "1,234,567,890", "98,765,432", "12,345,678", "123,456,789,012", "12.5%", "classes frames",
        "batch min/mean/max", "oversized",
    ):  # fmt: skip
        assert part in text


def test_neighbouring_epochs_of_equal_figures_share_a_row(capsys):
    epochs = [replace(EPOCH, epoch=number) for number in (1, 2, 3, 4, 5)]
    epochs[3] = replace(epochs[3], num_shapes=18)
    print_reports([replace(REPORT, epochs=tuple(epochs))])
    assert first_column(capsys.readouterr().out)[:3] == ["1 to 3", "4", "5"]


def test_epochs_that_differ_by_chance_share_a_row_of_spreads(capsys):
    epochs = [
        replace(EPOCH, epoch=number, num_batches=1233 + number % 2, padding={"data": 0.2 + number / 100})
        for number in (1, 2, 3, 4)
    ]
    print_reports([replace(REPORT, epochs=tuple(epochs), alike=((1, 3),))])
    text = capsys.readouterr().out
    assert first_column(text)[:2] == ["1 to 3", "4"]
    assert "1,233-1,234" in text and "21.0-23.0%" in text and " 24.0%" in text


def first_column(text):
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.lstrip().startswith("epoch ")) + 1
    return [line.split("  1,23")[0].strip() for line in lines[start:]]


@pytest.mark.parametrize(
    ("num_bytes", "measured", "expected"),
    [
        (1_000, 2_000, "expected: less than a second on 1 process of this machine"),
        (
            9_000_000,
            1_500_000,
            "expected: 6.0 s on 1 process of this machine, at 1.5 MB/s each (measured on 1.5 MB, disk not "
            "included)",
        ),
    ],
)
def test_a_rate_is_shown_where_it_says_more_than_how_long_beginning_takes(
    num_bytes, measured, expected, tmp_path
):
    rate = WriteRate()
    rate.bytes, rate.seconds = measured, 1.0
    epoch = replace(EPOCH, bytes=num_bytes, num_shards=1)
    config = SimpleNamespace(output=str(tmp_path), read_from="shards")
    *_, line = totals(config, [replace(REPORT, epochs=(epoch,))], rate)
    assert line == expected
