import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.trainer.cleanup import UNRANKED, decide
from seqmill.trainer.options import CleanupPolicy, cleanup_policy
from seqmill.transforms.storage.errors import UsageError

scores = st.one_of(st.floats(0, 5), st.just(math.nan), st.just(math.inf))
histories = st.dictionaries(
    st.integers(1, 60), st.dictionaries(st.sampled_from(["dev_loss", "test_loss"]), scores), max_size=20
)
policies = st.builds(
    CleanupPolicy, st.integers(1, 5), st.integers(0, 5), st.frozensets(st.integers(1, 60), max_size=5)
)


@given(histories, st.sets(st.integers(1, 60), min_size=1, max_size=20), policies, st.integers(1, 60))
def test_what_must_stay_stays_and_nothing_else(losses, stored, policy, resumed_from):
    decisions = decide(losses, stored, policy, resumed_from)
    assert [decision.epoch for decision in decisions] == sorted(stored)
    if policy.keep_best_n and not any(losses.values()):
        assert all(UNRANKED in " ".join(decision.reasons) for decision in decisions)
        return
    must_stay = {max(stored), *sorted(stored)[-policy.keep_last_n :]} | {*policy.keep, resumed_from} & stored
    for name in ("dev_loss", "test_loss"):
        known = [epoch for epoch in stored if not math.isnan(losses.get(epoch, {}).get(name, math.nan))]
        must_stay.update(sorted(known, key=lambda epoch: (losses[epoch][name], epoch))[: policy.keep_best_n])
    assert {decision.epoch for decision in decisions if decision.keep} == must_stay


@given(histories, st.sets(st.integers(1, 60), min_size=1, max_size=20))
def test_nan_and_missing_scores_are_never_among_the_best(losses, stored):
    for decision in decide(losses, stored, CleanupPolicy(keep_last_n=1, keep_best_n=3, keep=frozenset())):
        values = losses.get(decision.epoch, {})
        for reason in decision.reasons:
            if "of the best" in reason:
                assert not math.isnan(values[reason.split(" ", 1)[0]])


def test_every_reason_is_told():
    losses = {1: {"dev_loss": 0.25}, 2: {"dev_loss": 0.5}, 3: {"dev_loss": math.nan}}
    policy = CleanupPolicy(keep_last_n=2, keep_best_n=1, keep=frozenset({2}))
    first, second, third, fourth = decide(losses, [1, 2, 3, 4], policy, resumed_from=2)
    assert first.reasons == ("dev_loss 0.25 is no. 1 of the best 1",)
    assert second.reasons == ("listed in keep", "resumed from")
    assert third.reasons == ("among the last 2",)
    assert fourth.reasons == ("newest",)


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=40, unique=True),
    st.data(),
    st.integers(1, 5),
    st.integers(0, 5),
    st.frozensets(st.integers(1, 40), max_size=5),
)
def test_decides_as_returnn_does(values, data, keep_last_n, keep_best_n, keep):
    """On histories of distinct finite scores with ``keep`` given; docs/training.md lists the differences."""
    losses = {epoch: {"dev_loss": value} for epoch, value in enumerate(values, 1)}
    stored = data.draw(st.sets(st.sampled_from(sorted(losses)), min_size=1))
    options = {"keep_last_n": keep_last_n, "keep_best_n": keep_best_n, "keep": sorted(keep)}
    policy = CleanupPolicy(keep_last_n, keep_best_n, keep)
    deleted = {decision.epoch for decision in decide(losses, stored, policy) if not decision.keep}
    assert deleted == returnn_deletes(losses, stored, options)


def returnn_deletes(losses, stored, options):
    from returnn.config import Config
    from returnn.engine.base import EngineBase

    deleted = set()

    class Engine(EngineBase):
        def __init__(self):
            self.config = Config({"cleanup_old_models": options})
            epoch_data = {epoch: SimpleNamespace(error=dict(values)) for epoch, values in losses.items()}
            self.learning_rate_control = SimpleNamespace(epoch_data=epoch_data)

        def _do_save(self):
            return True

        def get_existing_models(self, config=None, **_):
            return {epoch: epoch for epoch in stored}

        @staticmethod
        def delete_model(filename):
            deleted.add(filename)
            return 0

    Engine().cleanup_old_models()
    return deleted


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"keep_last": 2}, "keep_last: unknown; expected one of keep_last_n"),
        ({"keep_last_n": 0}, "keep_last_n: 0; expected a whole number of at least 1"),
        ({"keep_best_n": True}, "keep_best_n: True"),
        ({"keep": [0]}, "keep: 0"),
        ({"keep": "20"}, "keep: '20'; expected a list"),
        ("yes", "'yes'; expected true, false or a table"),
    ],
)
def test_wrong_policies_are_refused(value, message):
    with pytest.raises(UsageError, match=message):
        cleanup_policy(value)


def test_true_means_returnns_defaults():
    assert cleanup_policy(True) == CleanupPolicy(2, 4, frozenset({20, 40, 80, 160, 240}))
    assert cleanup_policy(False) is None
    assert cleanup_policy({"keep": [7]}) == CleanupPolicy(2, 4, frozenset({7}))
