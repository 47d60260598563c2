"""Epochs planned with a few time axes: what they may be, and that limits count them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_options import plain_options

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking
from seqmill.transforms.planning.corpus_order import CorpusOrder
from seqmill.transforms.planning.length_buckets import with_buckets
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import plan_epoch, select
from seqmill.transforms.planning.schedule import Schedule, Stretch
from seqmill.transforms.planning.selections import Selections

RNG = np.random.default_rng(1)
LENGTHS = {"x": RNG.gamma(4, 8, 500).astype(np.int32) + 1, "y": RNG.integers(1, 9, 500, np.int32)}


def planned(options, num_epochs=2, changes=()):
    schedule = with_buckets(Selections(CorpusOrder(LENGTHS), Schedule(options, num_epochs, changes=changes)))
    for epoch in range(1, num_epochs + 1):
        yield plan_epoch(select(LENGTHS, schedule.at(epoch)), schedule.at(epoch), epoch)


@given(
    st.sampled_from(["random", "laplace:.50", "sorted", "default"]),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(1, 6), min_size=1),
    st.integers(100, 2000),
    st.sampled_from([None, 20]),
    st.sampled_from([{}, {"x": KeyChunking(10, 7)}]),
    st.integers(1, 3),
)
@settings(max_examples=60)
def test_there_are_few_time_axes_and_limits_count_them(ordering, buckets, size, max_seqs, rules, parts):
    limits = BatchLimits({"x": size, "y": 400}, max_seqs, length_buckets=buckets)
    options = plain_options(
        "x", limits, ordering=parse_ordering(ordering), chunking=rules, partition_epoch=parts
    )
    seen = {key: set() for key in LENGTHS}
    for plan in planned(options, 2 * parts):
        for key, axes in plan.time_axes.items():
            assert (axes >= plan.longest[key]).all()
            seen[key] |= set(axes.tolist())
            over = (plan.batch_frames[key] > limits.batch_size[key]) & (plan.batch_seqs > 1)
            assert not over.any()
            if key not in buckets:
                assert (axes == plan.longest[key]).all()
        assert plan.padded_frames["x"] == plan.batch_frames["x"].sum() >= plan.num_frames["x"]
    for key, most in buckets.items():
        allowed = plan.limits.padded_lengths[key]
        assert seen[key] <= set(allowed) and len(allowed) <= most


def test_a_batch_of_random_lengths_is_padded_to_what_fits_batches():
    def padding(**padded_lengths):
        limits = BatchLimits({"x": 1000}, length_buckets={"x": 3}, padded_lengths=padded_lengths)
        options = plain_options("x", limits)
        plan = plan_epoch(select(LENGTHS, options), options, 1)
        return plan.padded_frames["x"]

    (plan,) = planned(plain_options("x", BatchLimits({"x": 1000}, length_buckets={"x": 3})), 1)
    thirds = np.quantile(LENGTHS["x"], [1 / 3, 2 / 3, 1], method="higher")
    assert plan.padded_frames["x"] < 0.9 * padding(x=tuple(thirds.tolist()))


def test_epochs_of_a_schedule_have_buckets_of_their_own():
    base = plain_options("x", BatchLimits({"x": 500}, length_buckets={"x": 4}))
    plain = replace(base, batch_limits=BatchLimits({"x": 500}))
    short = replace(base, length_limits=replace(base.length_limits, longest={"x": 20}))
    changes = (Stretch(2, 2, plain), Stretch(3, 4, short))
    plans = list(planned(base, 5, changes))
    axes = [plan.limits.padded_lengths.get("x") for plan in plans]
    assert axes[0] == axes[4] and axes[1] is None and axes[2] == axes[3]
    assert axes[2][-1] <= 20 < axes[0][-1]


def test_filled_batches_of_the_same_time_axis_have_as_many_rows():
    limits = BatchLimits({"x": 1000, "y": 90}, 50, length_buckets={"x": 4, "y": 2}, pad_batch=True)
    (plan,) = planned(plain_options("x", limits, ordering=parse_ordering("laplace:.100")), 1)
    shapes = set(zip(plan.batch_rows.tolist(), *(a.tolist() for a in plan.time_axes.values()), strict=True))
    assert len(shapes) == len({shape[1:] for shape in shapes}) == plan.num_shapes <= 8
    assert (plan.batch_rows >= plan.batch_seqs).all() and plan.batch_rows.max() <= 50
    for key, size in limits.batch_size.items():
        assert plan.step_frames[key].max() <= size
        assert (plan.step_frames[key] == plan.batch_rows * plan.time_axes[key]).all()


def test_a_schedule_whose_buckets_are_not_chosen_plans_nothing():
    options = plain_options("x", BatchLimits({"x": 500}, length_buckets={"x": 4}))
    with pytest.raises(ValueError, match="length_buckets of x are not chosen"):
        plan_epoch(select(LENGTHS, options), options, 1)
    nothing_left = replace(options, length_limits=replace(options.length_limits, longest={"x": 0}))
    assert with_buckets(Selections(CorpusOrder(LENGTHS), Schedule(nothing_left, 1))).at(
        1
    ).batch_limits.padded_lengths == {"x": ()}
