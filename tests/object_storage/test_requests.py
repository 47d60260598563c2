"""How many requests a run makes: ``docs/object-storage.md`` gives these figures."""

import re
from pathlib import Path

BY_TIME = ("/.lock", "/progress/")
PAGE = Path(__file__).parents[2] / "docs/object-storage.md"


def documented(what):
    """The figure of a row of the page's table."""
    (number,) = re.findall(rf"^\| {re.escape(what)} \| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    return int(number)


def num_requests(proxy):
    """Those of a run that takes no time: a lock is made, read and removed once, and no progress is told."""
    return 3 + sum(not any(by_time in r.path for by_time in BY_TIME) for r in proxy.seen)


def test_requests_of_runs_are_those_documented(store, configured, seqmill, monkeypatch, tmp_path):
    counts, num_shards = {}, {}
    for name, shards in (("few", 2), ("many", 6)):
        monkeypatch.setenv("SEQMILL_CACHE", str(tmp_path / name))  # nothing is there already
        store.proxy.reset()
        seqmill.succeeds("preprocess", configured(f"{store.url}/{name}", num_shards=shards))
        counts[name] = num_requests(store.proxy)
        num_shards[name] = sum("batches-" in request.path for request in store.proxy.seen)
    store.proxy.reset()
    seqmill.succeeds("preprocess", configured(f"{store.url}/few", num_shards=2))
    more_shards = num_shards["many"] - num_shards["few"]
    assert more_shards > 5 and counts["many"] - counts["few"] <= more_shards * documented("a shard")
    assert num_requests(store.proxy) <= documented("a start of a run that is up to date")
    assert counts["few"] <= documented("the whole run below")
