"""``[[schedule]]``: which options the epochs of train have, and what is said of mistakes."""

import pytest

from seqmill.pipelines.config import load_config
from seqmill.transforms.planning.chunk import KeyChunking
from seqmill.transforms.storage.errors import UsageError

CONFIG = """
output = "out"
num_epochs = 10
max_seqs = 50
seq_ordering = "random"
chunking = "100"
[data.data]
type = "bytes"
[data.classes]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["train.jsonl"]
batch_size = 400
[corpus.dev]
format = "jsonl"
files = ["dev.jsonl"]
"""


def load(folder, tables, text=CONFIG, **flags):
    (folder / "config.toml").write_text(text + tables)
    return load_config(str(folder / "config.toml"), flags)


def table(epochs, *options):
    return "\n".join(["[[schedule]]", f"epochs = {epochs}", *options, ""])


def mistakes(folder, tables, text=CONFIG, **flags):
    with pytest.raises(UsageError) as error:
        load(folder, tables, text, **flags)
    return str(error.value)


def stretches(config):
    return [(one.first, one.last) for one in config.schedule_of("train").stretches]


def test_tables_go_over_the_options_of_train_and_of_no_other_corpus(tmp_path):
    config = load(
        tmp_path,
        table('"1-2"', "batch_size = { data = 100 }", 'seq_ordering = "sorted"', 'length_key = "classes"')
        + table('"4-"', "max_seq_length = 9", "max_seqs = 0", "partition_epoch = 2"),
    )
    schedule = config.schedule_of("train")
    assert stretches(config) == [(1, 2), (3, 3), (4, 10)]
    first, second, third = (stretch.options for stretch in schedule.stretches)
    assert dict(first.batch_limits.batch_size) == {"data": 100}
    assert (first.batch_limits.max_seqs, str(first.ordering), first.length_key) == (50, "sorted", "classes")
    assert (second.batch_limits.batch_size["data"], str(second.ordering)) == (400, "random")
    assert second.length_key == "data"
    assert (third.length_limits.longest, third.batch_limits.max_seqs) == ({"data": 9, "classes": 9}, None)
    assert third.partition_epoch == 2
    dev = config.schedule_of("dev")
    assert (len(dev.stretches), dev.num_epochs, str(dev.options.ordering)) == (1, 1, "default")


def test_chunking_and_min_chunk_size_may_come_from_different_tables(tmp_path):
    tables = table('"2-5"', "min_chunk_size = 7") + table('"4-6"', 'chunking = { data = "20:10" }')
    schedule = load(tmp_path, tables).schedule_of("train")
    assert schedule.at(1).chunking["data"] == KeyChunking(100, 100, 0)
    assert schedule.at(3).chunking["classes"] == KeyChunking(100, 100, 7)
    assert schedule.at(4).chunking == {"data": KeyChunking(20, 10, 7)}
    assert schedule.at(6).chunking == {"data": KeyChunking(20, 10, 0)}
    assert schedule.at(7) == schedule.options


def test_epochs_behind_the_last_are_left_out(tmp_path):
    config = load(tmp_path, table('"3-20"', "max_seqs = 1") + table('"12-"', "batch_size = 2"))
    assert stretches(config) == [(1, 2), (3, 10)]
    assert stretches(load(tmp_path, table("20", "max_seqs = 1"))) == [(1, 10)]


def test_an_epoch_may_be_a_number(tmp_path):
    assert stretches(load(tmp_path, table("3", "max_seqs = 1"))) == [(1, 2), (3, 3), (4, 10)]


def test_flags_change_the_base_or_replace_all_tables(tmp_path):
    tables = table('"1-2"', "batch_size = 100")
    config = load(tmp_path, tables, **{"corpus.train.batch_size": "300", "max_seqs": "7"})
    sizes = [
        stretch.options.batch_limits.batch_size["data"] for stretch in config.schedule_of("train").stretches
    ]
    assert sizes == [100, 300]
    assert stretches(load(tmp_path, tables, schedule="none")) == [(1, 10)]
    assert stretches(load(tmp_path, tables, schedule='[{epochs = "4-", batching = "sorted"}]')) == [
        (1, 3),
        (4, 10),
    ]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("[schedule]\nepochs = 1", "schedule: found {'epochs': 1}; expected tables [[schedule]]"),
        (table('"x"', "max_seqs = 1"), "schedule.1.epochs: found 'x'; 'x' names no epochs; expected such as"),
        (table("true", "max_seqs = 1"), "schedule.1.epochs: found True; 'True' names no epochs"),
        (table('"5-1"', "max_seqs = 1"), "schedule.1.epochs: found '5-1'; '5-1': expected epochs from 1 in"),
        ("[[schedule]]\nmax_seqs = 1", "schedule.1.epochs: required, but missing"),
        (table("1"), "schedule.1: expected an option to set for these epochs"),
        (table("1", "max_seq = 1"), "schedule.1.max_seq: unknown option; did you mean max_seqs?"),
        (
            table("1", "num_epochs = 1"),
            "schedule.1.num_epochs: the same for all epochs; expected one of batch",
        ),
        (table("1", "seq_tag = 'x'"), "schedule.1.seq_tag: the same for all epochs"),
        (table("1", "max_seqs = -1"), "schedule.1.max_seqs: found -1; expected a whole number"),
        (
            table("1", "batch_size = {x = 1}"),
            "schedule.1.batch_size: no data key 'x'; expected data, classes",
        ),
        (table("1", 'length_key = "x"'), "schedule.1.length_key: no data key 'x'"),
        (
            table('"1-3"', "max_seqs = 1") + table('"3-"', "max_seqs = 2", "partition_epoch = 2"),
            "schedule.2: sets max_seqs of epochs 3, as table 1 does",
        ),
        (
            table('"3-"', "max_seqs = 1") + table("1", "max_seqs = 1") + table('"1-2,5-"', "max_seqs = 2"),
            "schedule.3: sets max_seqs of epochs 5-, as table 1 does",
        ),
        (
            table('"2-3"', "max_seqs = 0", "batch_size = 0"),
            "schedule: expected batch_size or max_seqs in epochs 2-3, found neither",
        ),
    ],
)
def test_mistakes(tmp_path, tables, message):
    assert f"\n  {message}" in mistakes(tmp_path, tables)


def test_a_schedule_needs_a_corpus_to_train_on(tmp_path):
    text = CONFIG.replace("corpus.train", "corpus.trian")
    found = mistakes(tmp_path, table("1", "max_seqs = 1"), text)
    assert "schedule: concerns corpus.train, and there is none; did you mean [corpus.train] by" in found


def test_a_corpus_has_no_schedule_of_its_own(tmp_path):
    found = mistakes(tmp_path, '[[corpus.dev.schedule]]\nepochs = "1"\nmax_seqs = 1\n')
    assert "corpus.dev.schedule: unknown option" in found
