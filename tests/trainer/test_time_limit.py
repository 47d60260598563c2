"""When a training saves and ends so that it is over in time."""

import pytest

from seqmill.trainer.options import TrainOptions
from seqmill.trainer.time_limit import TimeLimit, seconds_of
from seqmill.transforms.storage.checked_options import checked
from seqmill.transforms.storage.errors import UsageError


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("3h50m", 13_800),
        ("90m", 5_400),
        ("45s", 45),
        ("1d 2h", 93_600),
        ("1.5h", 5_400),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_times_are_read(given, seconds):
    assert seconds_of(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "3 hours", "h", "3h50", "-1h", "0s", -1, True, float("nan"), float("inf")]
)
def test_what_is_no_time_is_refused_with_what_is_expected(given):
    with pytest.raises(ValueError, match='expected a time such as "3h50m"'):
        seconds_of(given)


def test_absence_and_minutes_as_options():
    none = checked(TrainOptions, {"stop_after": 0, "save_minutes": False})
    assert (none.stop_after, none.save_minutes) == (None, None)
    with pytest.raises(UsageError, match="save_minutes: found -1; expected a number of minutes above 0"):
        checked(TrainOptions, {"save_minutes": -1})


def test_ends_when_another_step_and_its_save_might_end_too_late():
    now = 0.0
    limit = TimeLimit(100.0, begun=0.0, clock=lambda: now)
    limit.longest_step, limit.longest_save = 10.0, 5.0  # and 1 s to end in
    near = []
    for now in (0.0, 78.0, 79.0, 200.0):  # noqa: B007
        near.append(limit.is_near())
    assert near == [False, False, True, True]


def test_half_of_a_short_time_is_used_whatever_steps_take():
    now = 0.0
    limit = TimeLimit(10.0, begun=0.0, bytes=10**12, clock=lambda: now)
    assert not limit.is_near()
    now = 5.0
    assert limit.is_near()


def test_an_evaluation_that_nobody_has_timed_may_end_too_late():
    limit = TimeLimit(1000.0, begun=0.0, clock=lambda: 0.0)
    assert limit.is_near_after_evaluation()
    limit.evaluated(10.0)
    assert not limit.is_near_after_evaluation()
    limit.evaluated(700.0)
    assert limit.is_near_after_evaluation()


def test_without_a_limit_nothing_is_near():
    limit = TimeLimit(None, begun=0.0)
    assert not limit.is_near() and not limit.is_near_after_evaluation()
