"""Where a step runs, and in which order its parts come to their ends."""

from types import SimpleNamespace

from seqmill.pipelines.beam_flags import LocalFlags, local_flags
from seqmill.pipelines.cores import num_processes
from seqmill.pipelines.work_queue import WorkQueue
from seqmill.transforms.beam.step import Part, Step


def queue_of(**nums_tasks):
    parts = [
        Part(name, "", [SimpleNamespace(index=i) for i in range(n)], [10] * n, print, print, rate=5)
        for name, n in nums_tasks.items()
    ]
    return WorkQueue(Step("ingest", tuple(parts)))


def test_a_part_ends_when_its_tasks_are_done_whatever_the_others_do():
    queue = queue_of(train=2, none=0, dev=1)
    end = queue.take()
    assert (end.part, end.num_tasks) == (1, 0)
    first, second, third = (queue.take() for _ in range(3))
    assert [(item.part, item.task.index) for item in (first, second, third)] == [(0, 0), (0, 1), (2, 0)]
    assert queue.take() is None, "all wait for what is being done"
    queue.done(third, "broken")
    end = queue.take()
    assert (end.part, end.errors) == (2, ("broken",))
    queue.done(end, "broken")
    queue.done(second, None)
    assert queue.take() is None
    queue.done(first, None)
    assert queue.take().part == 0
    assert queue.failed == {2: "broken"}
    assert (queue.seconds_done, queue.seconds_left) == (6, 0)


def test_failures_name_their_corpus_once():
    step = queue_of(train=1, dev=1, test=1).step
    error = step.failure({2: "corpus test: no sequences in its files", 1: "a.jsonl: cannot read: no"})
    assert str(error) == "ingest dev: a.jsonl: cannot read: no\ncorpus test: no sequences in its files"


def test_many_corpora_are_not_all_named():
    step = queue_of(**{f"c{number}": 1 for number in range(9)}).step
    assert step.title == "ingest c0, c1, c2, c3, c4, 9 in all"


def test_as_many_processes_as_the_time_of_the_work_is_worth():
    # 200 recordings of 10 ms each, a dozen in a task; 50 MB of integers at 100 MB/s.
    assert num_processes(2.0, num_items=17, cores=2, start_seconds=0.5) == 2
    assert num_processes(0.5, num_items=3, cores=2, start_seconds=0.5) == 1
    # Processes that are there cost nothing more; one task is for one process.
    assert num_processes(0.5, num_items=3, cores=2, start_seconds=0) == 2
    assert num_processes(60, num_items=1, cores=8, start_seconds=0) == 1
    # No more of them than have something to do.
    assert num_processes(1.5, num_items=100, cores=64, start_seconds=0.5) == 8


def test_flags_say_where():
    assert local_flags([]) == LocalFlags(None, 0)
    assert local_flags(["--direct_num_workers", "1"]) == LocalFlags(False, 1)
    assert local_flags(["--direct_num_workers=0"]) == LocalFlags(True, 0)
    assert local_flags(["--direct_running_mode=in_memory", "--direct_num_workers=3"]).in_processes is False
    assert local_flags(["--direct_running_mode=multi_processing"]) == LocalFlags(True, 0)
    assert local_flags(["--direct_running_mode=multi_threading"]) is None
    assert local_flags(["--runner", "DirectRunner"]) is None
