import fuzz
import pytest


def test_no_damage_goes_unnoticed():
    assert not fuzz.run(first=0, cases=200, jobs=2)


@pytest.mark.long
def test_no_damage_goes_unnoticed_for_long():
    assert not fuzz.run(first=1_000_000, cases=20_000, jobs=2)
