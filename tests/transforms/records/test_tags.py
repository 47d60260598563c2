import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.records.tags import Tags

TAGS = st.lists(st.binary(max_size=200))


@given(TAGS, st.data())
def test_tags_are_the_list_that_they_were_made_of(tags, data):
    made = Tags.of(tags)
    assert list(made) == tags and len(made) == len(tags)
    chosen = data.draw(st.lists(st.integers(0, len(tags) - 1))) if tags else []
    assert list(made.take(np.array(chosen, np.int64))) == [tags[i] for i in chosen]
    start = data.draw(st.integers(0, len(tags)))
    end = data.draw(st.integers(start, len(tags)))
    part = made.slice(start, end)
    assert list(part) == tags[start:end]
    assert list(Tags.concatenate([part, tags, made])) == tags[start:end] + tags + tags


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**40)), min_size=1),
)
def test_numbered_tags(prefixes, wanted):
    chosen, numbers = np.array(wanted).T
    chosen %= len(prefixes)
    expected = [prefixes[i] + b"%d" % number for i, number in zip(chosen, numbers, strict=True)]
    assert list(Tags.numbered(prefixes, chosen, numbers)) == expected
