import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqmill.pipelines.report import scores
from seqmill.pipelines.report.batches import first_of_parts
from seqmill.pipelines.report.lengths import histogram
from seqmill.pipelines.report.page import page, plain, table


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=2000))
def test_a_histogram_counts_everything_once_in_few_bars(lengths):
    edges, counts = histogram(np.sort(np.array(lengths)))
    assert sum(counts) == len(lengths)
    assert len(counts) == len(edges) - 1 <= 61
    widths = np.diff(edges)
    assert min(widths) > 0
    assert len({*widths[:-1].tolist()}) <= 1


def test_one_outlier_does_not_push_all_others_into_one_bar():
    edges, counts = histogram(np.sort(np.append(np.arange(1, 5001) % 50, 10**9)))
    assert len(counts) >= 50
    assert (edges[-1], counts[-1]) == (10**9 + 1, 1)


@given(st.integers(1, 10**6))
def test_runs_of_batches_are_of_about_the_same_size(num_batches):
    starts = first_of_parts(num_batches)
    sizes = np.diff(np.append(starts, num_batches))
    assert (starts[0], sizes.sum()) == (0, num_batches)
    assert sizes.max() - sizes.min() <= 1
    assert len(starts) <= 300


def test_a_corpus_without_a_training_says_so(tmp_path):
    section = scores.section(str(tmp_path))
    assert section.parts == ()
    assert "`seqmill train`" in section.intro


def test_data_are_no_markup():
    assert plain("<b>&\x1b[0m") == "&lt;b&gt;&amp;\\x1b[0m"
    assert "<script>" not in table(["<script>"], [["<script>"]])
    assert "<title>&lt;i&gt;</title>" in page("<i>", [])
