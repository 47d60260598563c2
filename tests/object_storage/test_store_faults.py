"""Whatever goes wrong with an object store is tried again, or one line; and never a wrong output."""

import time
from itertools import cycle

import pytest
from fault_proxy import Answer, Cut
from object_store import clear_clients

from seqmill.transforms.storage import files, progress

PASSING = (
    Answer(503, "SlowDown"),
    Answer(500),
    Cut(0.5),
    Cut(0.0),
    Answer(429, "TooManyRequests"),
)

NEW_YEAR = "Tue, 01 Jan 2030 00:00:00 GMT"


@pytest.fixture
def patience(monkeypatch):
    """function(seconds): how long calls are tried again."""
    return lambda seconds: monkeypatch.setenv("SEQMILL_REMOTE_SECONDS", str(seconds))


def every(number, faults):
    """Does the next of some faults to every so manieth request."""
    counted, faults = cycle(range(number)), cycle(faults)
    return lambda _: next(faults) if next(counted) == number - 1 else None


def one_line(ended, *parts):
    ended.names(*parts)
    assert ended.code == 1, ended.err
    assert len(ended.err.splitlines()[-1]) < 500
    print(ended.err.splitlines()[-1])


def test_errors_and_cut_connections_that_pass_are_tried_again(store, corpus, configured, expected, seqmill):
    source = store.upload(corpus)
    store.proxy.fault = every(20, PASSING)
    seqmill.succeeds("preprocess", configured(f"{store.url}/out", source))
    assert store.tree(f"{store.url}/out") == expected


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, ["access refused", "expected AWS_ACCESS_KEY_ID"]),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, ["access refused", "expected AWS_ACCESS_KEY_ID"]),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            ["no credentials", "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"],
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, ["127.0.0.1:1", "expected the server to answer"]),
    ],
)
def test_what_does_not_pass_is_one_line(store, configured, seqmill, patience, monkeypatch, settings, parts):
    patience(1)
    for name, value in settings.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    clear_clients()
    one_line(seqmill("preprocess", configured(f"{store.url}/out")), f"{store.url}/out/", *parts)
    assert not store.tree(f"{store.url}/out")


@pytest.mark.parametrize("answer", [Answer(403, "RequestTimeTooSkewed", NEW_YEAR), Answer(403, "", NEW_YEAR)])
def test_clocks_that_differ_are_named(store, answer):
    store.proxy.fault = lambda _: answer
    for work in (files.size, files.read_bytes, files.list_names, lambda url: files.write_json(url, {})):
        with pytest.raises(OSError, match=r"server's clock says 2030-01-01 00:00:00 UTC, this machine's 20"):
            work(f"{store.url}/a")
    store.proxy.fault = lambda _: Answer(403, "AccessDenied")
    with pytest.raises(OSError, match=r"access refused \(PutObject: AccessDenied: injected\); expected"):
        files.write_json(f"{store.url}/a", {})


def test_a_missing_bucket_is_not_made(store, configured, seqmill):
    one_line(seqmill("preprocess", configured("s3://missing/out")), "there is no bucket 'missing'")
    ended = seqmill("preprocess", configured(f"{store.url}/out", "s3://missing"))
    one_line(ended, "s3://missing/train-*.jsonl", "there is no bucket 'missing'")
    assert not store.fs.exists("missing")


def test_a_store_that_stops_answering_ends_a_run_with_one_line(store, configured, seqmill, patience):
    patience(1)
    store.proxy.fault = lambda request: Answer(503, "SlowDown") if "batches-" in request.path else None
    ended = seqmill("preprocess", configured(f"{store.url}/out"))
    one_line(ended, "cannot write: SlowDown: injected; tried", "expected the server to answer")
    there = store.tree(f"{store.url}/out/epochs")
    assert there and not [name for name in there if name.endswith("epoch-0001/manifest.json")]


def test_a_server_killed_in_ingest_and_in_pre_batch(mortal_store, configured, expected, seqmill, patience):
    patience(1)
    config = configured(f"{mortal_store.url}/out")
    for name in ("sequences-00001", "epoch-0002/batches-00000"):
        with mortal_store.running() as process:

            def kill(request, name=name, process=process):
                if request.kind == "PUT" and name in request.path:
                    process.kill()

            mortal_store.proxy.fault = kill
            ended = seqmill("preprocess", config)
            one_line(ended, f"{mortal_store.url}/out/", "expected the server to answer")
    mortal_store.proxy.reset()
    with mortal_store.running():
        ended = seqmill.succeeds("preprocess", config)
        assert "preprocess train: 3 of 4 shards are there" in ended.err or "2 of 4 shards" in ended.err
        assert mortal_store.tree(f"{mortal_store.url}/out") == expected


def test_reports_of_progress_are_nothing_that_a_run_waits_for(store, patience):
    patience(60)
    store.proxy.fault = lambda _: Answer(500)
    begun = time.monotonic()
    with files.impatient(), pytest.raises(OSError, match="tried once"):
        files.write_json(f"{store.url}/progress/a.json", {})
    progress.begin(store.url, "run")
    reporter = progress.Reporter(store.url)
    reporter.add(1, 1)
    reporter.flush()
    assert progress.totals(store.url, "run") == (0, 0)
    assert time.monotonic() - begun < 30
