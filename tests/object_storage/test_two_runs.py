"""Two runs at once in one remote output: the second ends at once; who is gone is not waited for for long."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import orjson
import pytest
from fault_proxy import Cut

from seqmill.transforms.storage import files, remote_lock
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import only_writer, reader

HOLD = """
import sys
from seqmill.transforms.storage.locks import only_writer
with only_writer(sys.argv[1], "run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_ends_at_once(store, configured, seqmill):
    output = f"{store.url}/out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, output], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout.readline() == b"held\n"
        ended = seqmill("preprocess", configured(output))
        ended.names(f"{output}: another run (process {first.pid}) is at work here; wait for it")
        first.send_signal(signal.SIGKILL)
    seqmill.succeeds("preprocess", configured(output))
    assert not store.fs.exists(f"{output}/.lock")


def elsewhere(store, beat):
    holder = {"doing": "run", "host": "far", "machine": "far", "process": 7, "token": "t", "beat": beat}
    store.fs.pipe_file(f"{store.url}/.lock", orjson.dumps(holder))


def refused(lock, match):
    with pytest.raises(SeqmillError, match=match), lock:
        pass


def test_who_is_elsewhere_is_watched(store):
    elsewhere(store, 1)
    with remote_lock.only_writer(f"{store.url}/.lock", "run", silent_seconds=0.4):
        assert orjson.loads(store.fs.cat_file(f"{store.url}/.lock"))["process"] == os.getpid()
        refused(only_writer(store.url, "run"), rf"another run \(process {os.getpid()}\) is at work here")
        refused(reader(store.url, "training"), "is at work here")
    elsewhere(store, 1)
    beats = count(2)
    store.proxy.fault = lambda request: elsewhere(store, next(beats)) if request.kind == "GET" else None
    refused(only_writer(store.url, "run"), r"another run \(process 7 of far\) is at work here")
    store.proxy.reset()
    store.fs.pipe_file(f"{store.url}/.lock", b"{}")
    refused(only_writer(store.url, "run"), "not the lock of a run; remove what is there")


def test_an_answer_that_is_lost_does_not_lock_its_own_run_out(store):
    answers = iter(["lost"])
    store.proxy.fault = lambda request: Cut(0.0) if request.kind == "PUT" and next(answers, None) else None
    with only_writer(store.url, "run"):
        pass
    assert not store.fs.exists(f"{store.url}/.lock")


def test_of_those_that_take_over_one_wins(store):
    elsewhere(store, 1)
    barrier = threading.Barrier(3)

    def take(_):
        try:
            with remote_lock.only_writer(f"{store.url}/.lock", "run", silent_seconds=0.3):
                barrier.wait()
                return "wrote"
        except SeqmillError as error:
            barrier.wait()
            return str(error)

    with ThreadPoolExecutor(3) as pool:
        ended = sorted(pool.map(take, range(3)))
    assert ended[-1] == "wrote" and all("is at work here" in line for line in ended[:-1]), ended


def test_a_writer_that_was_taken_for_gone_writes_nothing_more(store):
    lock = remote_lock.only_writer(f"{store.url}/.lock", "run", silent_seconds=0.2)
    with pytest.raises(SeqmillError, match=r"another run \(process 7 of far\) has begun here, as this"), lock:
        files.write_json(f"{store.url}/before", {})
        elsewhere(store, 1)
        time.sleep(0.2)
        files.write_json(f"{store.url}/after", {})
    assert [path.rpartition("/")[2] for path in store.fs.find(store.url)] == [".lock", "before"]
