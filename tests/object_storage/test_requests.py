"""How many requests a run makes: ``docs/object-storage.md`` gives these figures."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/object-storage.md"


def documented(what):
    """The figure of a row of the page's table."""
    (number,) = re.findall(rf"^\| {re.escape(what)} \| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    return int(number)


def test_requests_of_runs_are_those_documented(store, configured, seqmill):
    counts, num_shards = {}, {}
    for name, shards in (("few", 2), ("many", 6)):
        store.proxy.reset()
        seqmill.succeeds("preprocess", configured(f"{store.url}/{name}", num_shards=shards))
        counts[name] = store.proxy.counts().total()
        num_shards[name] = sum("batches-" in request.path for request in store.proxy.seen)
    store.proxy.reset()
    seqmill.succeeds("preprocess", configured(f"{store.url}/few", num_shards=2))
    more_shards = num_shards["many"] - num_shards["few"]
    assert more_shards > 5 and counts["many"] - counts["few"] <= more_shards * documented("a shard")
    assert store.proxy.counts().total() <= documented("a start of a run that is up to date")
    assert counts["few"] <= documented("the whole run below")
