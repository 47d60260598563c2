"""Reading configurations: paths, flags over options, what a corpus inherits, and mistakes."""

import pytest

from seqmill.pipelines.config import corpus_defaults, did_you_mean, load_config, parse_flag
from seqmill.pipelines.corpora import data_keys, epoch_options, epochs_folder, input_files, store_folder
from seqmill.transforms.storage.errors import UsageError

CONFIG = """
output = "out"
batch_size = 100
[data.data]
field = "word"
type = "chars"
[data.classes]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["train-*.jsonl", "/abs/x.jsonl", "memory://bucket/y.jsonl"]
[corpus.dev]
format = "jsonl"
files = ["dev.jsonl"]
"""


def load(folder, text=CONFIG, **flags):
    (folder / "config.toml").write_text(text)
    return load_config(str(folder / "config.toml"), flags)


def with_options(**options):
    return "".join(f"{name} = {value}\n" for name, value in options.items()) + CONFIG


def mistakes(folder, text=CONFIG, **flags):
    with pytest.raises(UsageError) as error:
        load(folder, text, **flags)
    return str(error.value)


def test_paths_start_from_the_configuration(tmp_path):
    config = load(tmp_path)
    assert config.output == f"{tmp_path}/out"
    assert config.corpus["train"].files == [
        f"{tmp_path}/train-*.jsonl",
        "/abs/x.jsonl",
        "memory://bucket/y.jsonl",
    ]
    assert store_folder(config, "dev") == f"{tmp_path}/out/store/dev"
    assert epochs_folder(config, "dev") == f"{tmp_path}/out/epochs/dev"
    assert [(key.name, key.field) for key in data_keys(config)] == [("data", "word"), ("classes", "classes")]


def test_paths_in_flags_start_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert load(tmp_path, output="other").output == f"{tmp_path}/here/other"
    assert load(tmp_path, output="memory://other").output == "memory://other"


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("batch_size", "4000", 4000),
        ("batch_size", "{data = 4000}", {"data": 4000}),
        ("chunking", "100:75", "100:75"),
        ("chunking", '{data = "100:75"}', {"data": "100:75"}),
        ("seq_ordering", "laplace:.1000", "laplace:.1000"),
        ("output", "3", "3"),
        ("length_key", "true", "true"),
        ("stop_on_nonfinite_train_score", "false", False),
        ("stop_on_nonfinite_train_score", "False", False),
        ("cleanup_old_models", "{keep_last_n = 3}", {"keep_last_n": 3}),
        ("max_rejected", "0.5", 0.5),
    ],
)
def test_flags_hold_values_as_in_toml_and_plain_text(option, text, value):
    assert parse_flag(option, text) == value


def test_flags_go_over_options(tmp_path):
    config = load(tmp_path, with_options(seed=3, batching='"random"'), seed="4", seq_ordering="sorted")
    assert (config.seed, config.seq_ordering) == (4, "sorted")


def test_the_older_name_of_seq_ordering(tmp_path):
    assert load(tmp_path, with_options(batching='"random"')).seq_ordering == "random"


def test_what_other_corpora_inherit_and_what_is_for_training_only(tmp_path):
    text = with_options(
        seq_ordering='"random"', chunking='"10:5"', partition_epoch=3, max_seqs=7, num_epochs=9
    )
    config = load(tmp_path, text + 'seq_ordering = "sorted"\nbatch_size = 50\n')
    train, dev = epoch_options(config, "train"), epoch_options(config, "dev")
    assert (str(train.ordering), str(dev.ordering)) == ("random", "sorted")
    assert (train.partition_epoch, dev.partition_epoch) == (3, 1)
    assert (train.num_epochs, dev.num_epochs) == (9, 1)
    assert set(train.chunking) == {"data", "classes"}
    assert dev.chunking == {}
    assert corpus_defaults(config, "dev")["max_seqs"] == 7
    assert train.batch_limits.batch_size == {"data": 100, "classes": 100}
    assert dev.batch_limits.batch_size == {"data": 50, "classes": 50}


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({"num_epochs": 10}, 1),
        ({"num_epochs": 10, "seq_ordering": '"random"'}, 10),
        ({"num_epochs": 10, "seq_ordering": '"random"', "distinct_epochs": 4}, 4),
        ({"num_epochs": 3, "seq_ordering": '"random"', "distinct_epochs": 4}, 3),
        ({"num_epochs": 10, "seq_ordering": '"random"', "fixed_random_seed": 1}, 1),
        ({"num_epochs": 10, "seq_ordering": '"sorted"', "partition_epoch": 4}, 4),
        ({"num_epochs": 2, "seq_ordering": '"sorted"', "partition_epoch": 4}, 2),
    ],
)
def test_as_many_epochs_are_stored_as_differ(tmp_path, options, stored):
    assert epoch_options(load(tmp_path, with_options(**options)), "train").num_epochs == stored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output = ", "not valid TOML"),
        ("output = 'x'", "data: required, but missing"),
        (with_options(batch_size2=3), "batch_size2: unknown option; did you mean batch_size?"),
        (CONFIG.replace("= 100", "= 0"), "batch_size: found 0; expected a whole number of at least 1"),
        (CONFIG.replace("= 100", "= true"), "batch_size: found True; expected a whole number"),
        (CONFIG.replace("= 100", "= { dta = 3 }"), "batch_size: no data key 'dta'; expected data, classes"),
        (
            CONFIG.replace("batch_size = 100", ""),
            "corpus.train: expected batch_size or max_seqs, found neither",
        ),
        (with_options(chunking='"5:0"'), "'5:0' has step 0"),
        (with_options(chunking="1.5"), 'expected "size:step"'),
        (with_options(max_rejected=1.5), "max_rejected: found 1.5"),
        (with_options(seq_ordering="3"), "seq_ordering: found 3"),
        (CONFIG.replace("corpus.train", "corpus.trian"), "data.data: expected vocab = FILE"),
        (CONFIG + "[corpus.x]\nformat = 'text'\nfiles = ['a']", "format text expects a table"),
        (CONFIG + "[corpus.x]\nformat = 'csv'\nfiles = {data = 'a'}", "format csv expects a list"),
        (CONFIG + "[corpus.x]\nformat = 'text'\nfiles = {data = 'a'}", "expected them for the fields"),
        (CONFIG + "[data.x]\ntype = 'subwords'", "data.x: type subwords needs tokenizer = FILE"),
        (
            CONFIG + "[data.x]\ntype = 'ints'\nhop = 0.1",
            "data.x: hop is an option of type log_mel, not of ints",
        ),
        (CONFIG + "[data.seq_tag]\ntype = 'ints'", "'seq_tag' cannot be a name"),
        (CONFIG + "[data.\"a/b\"]\ntype = 'ints'", "'a/b' cannot be a name"),
        (CONFIG + "[corpus.\"..\"]\nformat = 'csv'\nfiles = ['a']", "'..' cannot be a name"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    assert message in mistakes(tmp_path, text)


def test_mistakes_in_flags_are_named_as_flags(tmp_path):
    found = mistakes(tmp_path, seed="x", length_key="dta")
    assert "--seed: found 'x'" in found
    assert "length_key: no data key 'dta'" in found


def test_mistakes_between_options_are_reported_with_those_of_single_ones(tmp_path):
    found = mistakes(tmp_path, with_options(max_seqs='"3"', length_key='"dta"', sede=4))
    for message in ("max_seqs: found '3'", "length_key: no data key 'dta'", "did you mean seed?"):
        assert message in found


def test_missing_inputs_are_reported_together(tmp_path):
    with pytest.raises(UsageError) as error:
        input_files(load(tmp_path))
    assert f"corpus.train.files: {tmp_path}/train-*.jsonl: no file matches" in str(error.value)
    assert f"corpus.dev.files: {tmp_path}/dev.jsonl: no such file" in str(error.value)


def test_did_you_mean():
    assert did_you_mean("bath_size", ["batch_size", "seed"]) == "; did you mean batch_size?"
    assert did_you_mean("zzz", ["batch_size", "seed"]) == ""
