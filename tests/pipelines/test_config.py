"""Reading configurations: paths, flags over options, what a corpus inherits, and mistakes."""

from pathlib import Path

import pytest

from seqmill.pipelines.config import global_options, load_config, parse_value
from seqmill.pipelines.input_files import find_inputs
from seqmill.transforms.planning.chunk import KeyChunking
from seqmill.transforms.planning.order import Ordering
from seqmill.transforms.storage.checked_options import did_you_mean
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
    assert config.corpus["train"].files == (
        f"{tmp_path}/train-*.jsonl",
        "/abs/x.jsonl",
        "memory://bucket/y.jsonl",
    )
    assert [(name, key.name, key.field) for name, key in config.data.items()] == [
        ("data", "data", "word"),
        ("classes", "classes", "classes"),
    ]


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
    is_text = global_options()[option].annotation in (str, str | None)
    assert parse_value(text, is_text) == value


def test_flags_go_over_options(tmp_path):
    config = load(tmp_path, with_options(seed=3, batching='"random"'), seed="4", seq_ordering="sorted")
    assert (config.seed, config.corpus["train"].seq_ordering) == (4, Ordering("sorted"))


def test_the_older_name_of_seq_ordering(tmp_path):
    config = load(tmp_path, with_options(batching='"random"') + 'batching = "sorted"')
    assert config.corpus["train"].seq_ordering == Ordering("random")
    assert config.corpus["dev"].seq_ordering == Ordering("sorted")
    found = mistakes(tmp_path, with_options(batching='"random"', seq_ordering='"sorted"'))
    assert "batching: an older name of seq_ordering, which is there too" in found


def test_what_other_corpora_inherit_and_what_is_for_training_only(tmp_path):
    text = with_options(
        seq_ordering='"random"', chunking='"10:5"', partition_epoch=3, max_seqs=7, num_epochs=9
    )
    config = load(tmp_path, text + 'seq_ordering = "sorted"\nbatch_size = 50\n')
    of_train, of_dev = config.schedule_of("train"), config.schedule_of("dev")
    train, dev = of_train.options, of_dev.options
    assert (str(train.ordering), str(dev.ordering)) == ("random", "sorted")
    assert (train.partition_epoch, dev.partition_epoch) == (3, 1)
    assert (of_train.num_epochs, of_dev.num_epochs) == (9, 1)
    assert set(train.chunking) == {"data", "classes"}
    assert dev.chunking == {}
    assert config.corpus["dev"].max_seqs == 7
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
    assert load(tmp_path, with_options(**options)).schedule_of("train").num_stored == stored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output = ", "not valid TOML"),
        ("output = 'x'", "data: required, but missing: a table [data.<name>]"),
        (with_options(batch_size2=3), "batch_size2: unknown option; did you mean batch_size?"),
        (CONFIG.replace("= 100", "= -1"), "batch_size: found -1; expected a whole number of at least 1"),
        (CONFIG.replace("= 100", "= 0"), "corpus.dev: expected batch_size or max_seqs, found neither"),
        (CONFIG.replace("= 100", "= {}"), "batch_size: found {}; expected a value, or a table with one"),
        (
            CONFIG.replace("= 100", "= 9223372036854775808"),
            "expected a whole number of at most 922337203685",
        ),
        (CONFIG.replace("= 100", f"= 1{'0' * 5000}"), "not valid TOML"),
        (f"x = {'[' * 5000}", "not valid TOML: nested too deeply"),
        (with_options(seed=2**32), "seed: found 4294967296; expected a whole number of at most 4294967295"),
        (with_options(seed=-1), "seed: found -1; expected a whole number of at least 0"),
        (with_options(seq_ordering=f"'random:{2**63}'"), "expected a whole number of at most"),
        (with_options(chunking=f"'{2**63}'"), "expected a whole number of at most"),
        (with_options(chunking=2**31), "expected a whole number of at most 2147483647"),
        (with_options(chunking=f"'1:{2**31}'"), "expected a whole number of at most 2147483647"),
        (CONFIG + "quoting = true", "corpus.dev: quoting is an option of formats csv and tsv, not of jsonl"),
        (CONFIG + "[data.x]\ntype = 'ints'\nchannel = 0", "data.x: channel is an option of type audio or"),
        (CONFIG + "[data.x]\ntype = 'ints'\nname = 'y'", "data.x.name: unknown option"),
        (
            CONFIG + "[corpus.dev.join]\nnum_seqs = 3",
            "join.num_seqs: unknown option of this table; num_seqs is",
        ),
        (CONFIG + "[corpus.dev.join]\nfromat = 3", "join.fromat: unknown option; did you mean format?"),
        (CONFIG + "[windows]\nsettles = 1", "windows.settles: unknown option; did you mean settle?"),
        (CONFIG + "[data.data_mask]\ntype = 'ints'", "data.data_mask: cannot be a name beside data"),
        (CONFIG + "[data.classes_lengths]\ntype = 'ints'", "cannot be a name beside classes"),
        ("data = 3\n", "data: found 3; expected tables [data.<name>]"),
        (CONFIG + "[corpus]\ntest = 3", "corpus.test: found 3; expected a table [corpus.<name>]"),
        (CONFIG.replace("= 100", "= true"), "batch_size: found True; expected a whole number"),
        (CONFIG.replace("= 100", "= { dta = 3 }"), "batch_size: no data key 'dta'; expected data, classes"),
        (
            CONFIG.replace("batch_size = 100", ""),
            "corpus.train: expected batch_size or max_seqs, found neither",
        ),
        (
            CONFIG.replace("corpus.train", "corpus.training"),
            "as there is no corpus.train to count; did you mean [corpus.train] by [corpus.training]?",
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
            "data.x: hop is an option of type log_mel or mfcc, not of ints",
        ),
        *(
            (
                CONFIG + f"[data.x]\ntype = 'log_mel'\n{option} = {value}",
                f"data.x.{option}: found {value}; expected seconds",
            )
            for option, value in (
                ("hop", 10),
                ("window", 25.0),
                ("hop", 0),
                ("window", "nan"),
                ("hop", "inf"),
            )
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
    assert "--length_key: no data key 'dta'; expected data, classes; did you mean data?" in found


def test_options_of_tables_as_flags(tmp_path):
    flags = {"corpus.dev.max_seqs": "10", "corpus.dev.batching": "sorted", "data.classes.vocab": "f.txt"}
    config = load(tmp_path, **flags)
    assert (config.corpus["train"].max_seqs, config.corpus["dev"].max_seqs) == (None, 10)
    assert config.corpus["dev"].seq_ordering == Ordering("sorted")
    assert config.data["classes"].vocab == f"{Path.cwd()}/f.txt"


def test_mistakes_in_flags_of_tables(tmp_path):
    flags = {"corpus.dve.max_seqs": "10", "corpus.dev.max_seq": "9", "corpus.train.max_seqs": "x"}
    found = mistakes(tmp_path, **flags)
    for message in (
        "--corpus.dve.max_seqs: no table [corpus.dve] in the configuration; did you mean dev?",
        "--corpus.dev.max_seq: unknown option; did you mean max_seqs?",
        "--corpus.train.max_seqs: found 'x'; expected a whole number of at least 1",
    ):
        assert message in found


@pytest.mark.parametrize("absent", ["0", "false", '"none"'])
def test_what_is_inherited_can_be_switched_off(tmp_path, absent):
    names = ("batch_size", "max_seq_length", "min_seq_length", "num_shards", "max_seqs")
    text = with_options(max_seqs=5, max_seq_length=9, min_seq_length=2, num_shards=3)
    own = "".join(f"{name} = {absent}\n" for name in names if name != "max_seqs")
    train, dev = (load(tmp_path, text + own).schedule_of(name).options for name in ("train", "dev"))
    assert (train.length_limits.longest, dev.length_limits.longest) == ({"data": 9, "classes": 9}, {})
    assert (train.length_limits.shortest, dev.length_limits.shortest) == ({"data": 2, "classes": 2}, {})
    assert (train.num_shards, dev.num_shards, dev.batch_limits.batch_size) == (3, None, {})
    assert load(tmp_path, text + f"max_seqs = {absent}").corpus["dev"].max_seqs is None
    assert load(tmp_path, with_options(cleanup_old_models=absent)).cleanup_old_models is None


def test_absence_of_text_seeds_and_per_key(tmp_path):
    text = with_options(fixed_random_seed=0, seq_tag='"id"', audio_root='"sounds"', chunking='"5:2"')
    own = 'seq_tag = "none"\naudio_root = false\nfixed_random_seed = false\n'
    own += "chunking = {data = 0, classes = 3}\n"
    config = load(tmp_path, text + own + "max_seq_length = {data = 'none', classes = 7}")
    train, dev = config.corpus["train"], config.corpus["dev"]
    assert (train.fixed_random_seed, train.seq_tag, train.audio_root) == (0, "id", f"{tmp_path}/sounds")
    assert (dev.fixed_random_seed, dev.seq_tag, dev.audio_root) == (None, None, None)
    assert (dev.chunking, dev.max_seq_length) == ({"classes": KeyChunking(3, 3)}, {"classes": 7})


def test_one_mistake_makes_no_others(tmp_path):
    found = mistakes(tmp_path, "batch_size = 'x'\noutput = 3\n" + CONFIG.partition("100")[2])
    assert found.splitlines()[1:] == [
        "  batch_size: found 'x'; expected a whole number of at least 1, or a table of such per data key",
        "  output: found 3; expected a valid string",
    ]
    assert mistakes(tmp_path, "batch_size = 3\noutput = 'x'").splitlines()[1:] == [
        "  data: required, but missing: a table [data.<name>]",
        "  corpus: required, but missing: a table [corpus.<name>]",
    ]


def test_csv_takes_quoting_from_the_configuration_and_others_do_not(tmp_path):
    text = with_options(quoting="false") + "[corpus.x]\nformat = 'csv'\nfiles = ['x']"
    config = load(tmp_path, text)
    assert [config.corpus[name].quoting for name in ("dev", "x")] == [None, False]


def test_mistakes_between_options_are_reported_with_those_of_single_ones(tmp_path):
    found = mistakes(tmp_path, with_options(max_seqs='"3"', length_key='"dta"', sede=4))
    for message in ("max_seqs: found '3'", "length_key: no data key 'dta'", "did you mean seed?"):
        assert message in found


def test_missing_inputs_are_reported_together(tmp_path):
    with pytest.raises(UsageError) as error:
        find_inputs(load(tmp_path))
    assert f"corpus.train.files: {tmp_path}/train-*.jsonl: no file matches" in str(error.value)
    assert f"corpus.dev.files: {tmp_path}/dev.jsonl: no such file" in str(error.value)


def test_files_are_read_as_often_as_they_are_listed(tmp_path, capsys):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}")
    files = '["b.jsonl", "*.jsonl"]'
    text = (
        f"max_seqs = 3\noutput = 'x'\n[data.x]\ntype = 'ints'\n[corpus.x]\nformat = 'jsonl'\nfiles = {files}"
    )
    assert find_inputs(load(tmp_path, text)) == {"x": [f"{tmp_path}/{name}.jsonl" for name in "bab"]}
    said = f"corpus.x.files: {tmp_path}/b.jsonl is listed 2 times: each of its sequences is 2 times in a pass"
    assert said in capsys.readouterr().err


def test_parallel_files_stay_parallel(tmp_path, capsys):
    for name in ("a", "b", "x", "y"):
        (tmp_path / name).write_text("1\n")
    files = "{src = ['a', 'a', 'b'], tgt = ['x', 'y', 'y']}"
    data = "[data.src]\ntype = 'ints'\n[data.tgt]\ntype = 'ints'\n"
    text = f"max_seqs = 3\noutput = 'x'\n{data}[corpus.x]\nformat = 'text'\nfiles = {files}"
    found = find_inputs(load(tmp_path, text))["x"]
    assert [(a[-1], b[-1]) for a, b in zip(found["src"], found["tgt"], strict=True)] == [
        ("a", "x"),
        ("a", "y"),
        ("b", "y"),
    ]
    assert "warning" not in capsys.readouterr().err


def test_did_you_mean():
    assert did_you_mean("bath_size", ["batch_size", "seed"]) == "; did you mean batch_size?"
    assert did_you_mean("zzz", ["batch_size", "seed"]) == ""


def test_empty_paths_and_nul_are_mistakes_and_no_folders(tmp_path):
    found = mistakes(tmp_path, with_options(audio_root='""', model='"a\\u0000b"'), output="")
    for message in (
        "--output: found ''; expected ",
        "audio_root: found ''; expected text",
        "expected text without NUL",
    ):
        assert message in found
    found = mistakes(
        tmp_path, **{"data.classes.vocab": "", "data.classes.field": "", "corpus.dev.files": "['']"}
    )
    for flag in ("data.classes.vocab", "data.classes.field", "corpus.dev.files"):
        assert f"--{flag}: found " in found


def test_a_missing_audio_root_is_named_before_work_starts(tmp_path):
    (tmp_path / "train.jsonl").touch()
    (tmp_path / "dev.jsonl").touch()
    with pytest.raises(UsageError, match=f"corpus.dev.audio_root: {tmp_path}/nowhere: no such folder"):
        find_inputs(load(tmp_path, CONFIG + "audio_root = 'nowhere'"))


def test_patterns_match_nothing_of_the_output_and_no_folder_twice(tmp_path):
    (tmp_path / "in").mkdir()
    for path in ("in/a.jsonl", "out/store/x/rejected/ingest.jsonl", "out/b.jsonl"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "in" / "loop").symlink_to(".")
    text = CONFIG.replace('"train-*.jsonl", "/abs/x.jsonl", "memory://bucket/y.jsonl"', '"**/*.jsonl"')
    text = text.replace("dev.jsonl", "out/store/*/*/*.jsonl")
    found = find_inputs(load(tmp_path, text, output=str(tmp_path / "out")))
    assert found["train"] == [f"{tmp_path}/{name}" for name in ("in/a.jsonl", "out/b.jsonl")]
    assert found["dev"] == [f"{tmp_path}/out/store/x/rejected/ingest.jsonl"]


def test_files_without_bytes_are_a_warning(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("{}" if name == "a" else "")
    text = CONFIG.replace('"train-*.jsonl", "/abs/x.jsonl", "memory://bucket/y.jsonl"', '"?.jsonl"')
    find_inputs(load(tmp_path, text.replace("dev.jsonl", "a.jsonl")))
    assert capsys.readouterr().err.splitlines() == [
        f"warning: corpus.train.files: no bytes in {tmp_path}/b.jsonl"
    ]
