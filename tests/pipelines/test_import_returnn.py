"""What ``seqmill import-returnn`` makes of options of RETURNN, and that it executes nothing."""

import tomllib

import pytest

from seqmill.pipelines.config import load_config
from seqmill.pipelines.import_returnn.command import imported
from seqmill.pipelines.import_returnn.read_config import read_config
from seqmill.pipelines.import_returnn.values import Unread, find_unread
from seqmill.pipelines.main import main
from seqmill.transforms.storage.errors import UsageError

HDF = 'train = {"class": "HDFDataset", "files": ["a.hdf"]}\n'
META = 'train = {"class": "MetaDataset", "datasets": {"a": "%s"}, "data_map": {"data": ("a", "data")}}\n'
OGG = 'train = {"class": "OggZipDataset", "path": "a.zip", "audio": %s, "targets": %s}\n'


@pytest.fixture
def config(tmp_path):
    def write(text, name="returnn.config"):
        (tmp_path / name).write_text(text if text.startswith(("{", "#")) else f"#!rnn.py\n{text}")
        return f"{tmp_path}/{name}"

    return write


@pytest.fixture
def toml(config, tmp_path):
    """The text that is written for a config, which is a configuration without mistakes."""

    def convert(text):
        made = imported(config(text))
        (tmp_path / "config.toml").write_text(made)
        load_config(f"{tmp_path}/config.toml")
        return made

    return convert


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("x = 2 ** 10 // 3 - -1", 342),
        ("a = 'b'\nx = f'{a}-{3:03d}' + '%s.%i' % (a, 4) + '{}{k}'.format(a, k=1)", "b-003b.4b1"),
        ("import os\nx = os.path.join('a', 'b.hdf')", "a/b.hdf"),
        ("from os.path import basename as base\nx = base('a/b')", "b"),
        ("x = dict(a=1, **{'b': [2, (3,)]})", {"a": 1, "b": [2, (3,)]}),
        ("x = {n: n * n for n in range(4) if n % 2}", {1: 1, 3: 9}),
        ("x = ['t.%i' % n for n in range(1, 3)] + list('ab')", ["t.1", "t.2", "a", "b"]),
        ("y = {'a': 1}\nx = y.copy()\nx.update(b=2)\nx['c'] = 3\ndel x['a']", {"b": 2, "c": 3}),
        ("y = None\nx = 'a' if y else 'b'\nif not y:\n  x += 'c'", "bc"),
        ("x = []\nfor i, s in enumerate('ab'):\n  if i: continue\n  x.append(s)", ["a"]),
        (
            "def f(k, n=2):\n  d = {'k': k}\n  if n > 1:\n    d['n'] = n\n  return d\nx = f('v')",
            {"k": "v", "n": 2},
        ),
        ("def f(a, *b, c=1, **d):\n  return a, b, c, d\nx = f(1, 2, e=3)", (1, (2,), 1, {"e": 3})),
        ("x = config.int('beam', 12)", 12),
        (
            "y = 3\nx = [config.is_true('y'), config.is_true('z'), '%(a-b)3d' % {'a-b': 3}]",
            [True, False, "  3"],
        ),
        ("y = 3\nx = config.typed_value('y', 4) if config.has('y') else 0", 3),
        ("import os\nx = int(os.environ.get('DEBUG', '0'))", 0),
        ("def cf(f):\n  return check_output(['cf', f])\nx = [cf('a.hdf')]", ["a.hdf"]),
        ("x = 3 in (1, 3) and 'b' < 'c' <= 'c' or 4", True),
        ("x = [1, 2, 3][1:] + sorted({3, 1})", [2, 3, 1, 3]),
    ],
)
def test_values_follow_from_what_is_written(config, source, value):
    assert read_config(config(source)).values["x"] == value


@pytest.mark.parametrize(
    "source",
    [
        "x = open('/etc/passwd').read()",
        "x = __import__('os').system('true')",
        "x = ().__class__.__base__.__subclasses__()",
        "x = '{0.__class__}'.format(3)",
        "x = eval('3')",
        "x = 'a' * 10 ** 9",
        "x = 10 ** 10 ** 10",
        "x = (-8) ** 0.5",
        "x = 1 << 10 ** 9",
        "x = '%1000000000d' % 3",
        "x = '%*d' % (10 ** 9, 3)",
        "x = '%(a-b)1000000000d' % {'a-b': 3}",
        "x = '%(a(b))1000000000d' % {'a(b)': 3}",
        "x = 'a' << 33",
        "x = 1 << -3",
        "y = ['a' * 20000] * 1000\nx = repr(y)",
        "y = undefined\nx = config.is_true('y')",
        "x = f'{3:{10 ** 9}}'",
        "x = '{:>1000000000}'.format(3)",
        "x = 'a'.replace('a', 'b' * 20000).replace('b', 'c' * 20000)",
        "x = list(range(10 ** 12))",
        "y = [0] * 10000\nx = [y, y, y]",
        "y = [1]\nfor i in range(60):\n  y = [y, y]\nx = y",
        "y = [1]\ny.append(y)\nx = [y, 1 / 0][1]",
        "def f(n):\n  return f(n)\nx = f(1)",
        "x = 1\nwhile True:\n  x += 1",
        "class A:\n  pass\nx = A()",
        "x = lambda: 3",
        "x = 3 if unknown() else 4",
        "x = 3\nif unknown():\n  x = 4",
        "x = [1]\ntry:\n  x.append(unknown())\nexcept ValueError:\n  pass",
        "from x import *\nx = numpy.linspace(1, 2, 3)",
        "x = undefined",
        "x = str([undefined])",
        "x = '{}'.format({'a': [undefined]})",
        "x = f'{[undefined]}'",
        "x = {1: undefined}.get(1)",
        "x = [undefined] == [3]",
    ],
)
def test_what_cannot_be_known_is_named_with_its_line(config, source):
    found = find_unread(read_config(config(source)).values.get("x", Unread(2, "")))
    assert found
    assert 2 <= found.line <= 2 + source.count("\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!rnn.py\nprint 'a'\n", "line 2: not Python 3"),
        ("#!rnn.py\nx = " + "(" * 5000, "returnn.config"),
        ("#!rnn.py\nx = 1\n", "expected train, dev or eval_datasets of RETURNN"),
        ("#!rnn.py\nx = [" + "[i for i in range(10000)]," * 1000 + "]", "too much to calculate"),
        ("# old\nbatch_size\n", "line 2: 'batch_size'; expected Python, JSON, or lines"),
        ("{'a': 1, b: 2}", "expected names in quotes"),
        ("#!\ntrain = 'config:train'", "nested too deeply, or a dataset is inside of itself"),
        ("#!\n" + META % "config:train", "nested too deeply, or a dataset is inside of itself"),
        ("#!\n\0", "returnn.config"),
    ],
)
def test_errors(config, text, message):
    with pytest.raises(UsageError, match=r"returnn\.config|line") as error:
        imported(config(text))
    assert message in str(error.value)


def test_json_and_lines(toml):
    made = toml('{"train": "a.h5,b.h5", "dev": "c.h5", "batch_size": 600, "multi": true, "num_inputs": 1}')
    read = tomllib.loads(made)
    assert read["corpus"]["train"] == {"format": "hdf", "files": ["a.h5", "b.h5"]}
    assert read["corpus"]["dev"]["seq_ordering"] == "sorted"
    made = toml("# old\ntrain HDFDataset:files=['a.hdf']\nbatch_size 2000  # frames\nchunking 200:100\n")
    read = tomllib.loads(made)
    assert (read["batch_size"], read["chunking"], read["corpus"]["train"]["files"]) == (
        2000,
        "200:100",
        ["a.hdf"],
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("batch_size = 0\nmax_seqs = 7", ["max_seqs = 7"]),
        ("batch_size = {'data': 50, 'x': 3}", ["# batch_size of x: there", "batch_size = { data = 50 }"]),
        ("max_seq_length = {'classes': 75}", ["max_seq_length = { classes = 75 }"]),
        ("batching = 'laplace:.1000:5'", ['seq_ordering = "laplace:.1000"', "# RETURNN: 'laplace:.1000:5'"]),
        (
            "batching = 'random:3'",
            ["seq_ordering = \"random\"  # RETURNN: 'random:3', one permutation for 3"],
        ),
        (
            "batch_size = (lambda n: n)(9)",
            ["# batch_size: not read", "batch_size = 1000000000  # to be filled in: RETURNN's was not read"],
        ),
        ("batching = 'sort_bin_shuffle:.64'", ['seq_ordering = "laplace:.64"']),
        ("chunking = '50:25'", ['chunking = "50:25"']),
        ("chunking = (50, 25)", ['chunking = "50:25"']),
        ("chunking = 50", ['chunking = "50"']),
        ("chunking = '50:0'", ['chunking = "50"']),
        (
            "chunking = ({'data': 6}, {'data': 3})\nmin_chunk_size = 2",
            ['chunking = { data = "6:3" }', "min_chu"],
        ),
        ("def chunking(**kw):\n  return 3", ["# chunking: not read: line 3: def chunking(…) (a function)"]),
        (
            "cleanup_old_models = {'keep': [3], 'x': 2}",
            ["cleanup_old_models = { keep = [3] }", "counterpart of x"],
        ),
        ("train['fixed_random_subset'] = float('inf')", ["# num_seqs = inf: not of the type"]),
        ("train['fixed_random_subset'] = 0.1", ["# fixed_random_subset = 0.1: num_seqs = 0.1 times"]),
        ("random_seed = 5", ["seed = 5  # "]),
        ("start_epoch = 3\nsave_interval = 2", ["start_epoch = 3", "save_interval = 2"]),
        ("stop_on_nonfinite_train_score = False", ["stop_on_nonfinite_train_score = false"]),
        (
            "num_outputs = {'data': (40, 2), 'x': [9, 1]}",
            ['[data.x]\ntype = "ints"  # RETURNN: sparse, dim = 9'],
        ),
        (
            "accum_grad_multiple_step = 2",
            ["# - accum_grad_multiple_step = 2: gradient_accumulation_steps of"],
        ),
        ("log_verbosity = 5\ncache_size = '0'", ["# Nothing to set for log_verbosity, cache_size"]),
    ],
)
def test_options(toml, text, lines):
    made = toml(HDF + text)
    for line in lines:
        assert line in made


def test_sound_and_labels(toml):
    bpe = '{"bpe_file": "c", "vocab_file": "v", "unknown_label": None, "seq_postfix": [0]}'
    audio = (
        '{"features": "log_mel_filterbank", "num_feature_filters": 80, "norm_mean": "m", "norm_std_dev": "s"}'
    )
    read = tomllib.loads(toml(OGG % (audio, bpe)))["data"]
    assert read["data"] == {
        "field": "audio",
        "type": "log_mel",
        "sample_rate": 16000,
        "num_mel_bins": 80,
        "preemphasis": 0.0,
        "peak_normalization": True,
        "normalization": {"mean": "m", "stddev": "s"},
    }
    assert read["classes"] == {
        "field": "text",
        "type": "subwords",
        "tokenizer": "c",
        "vocab": "v",
        "unk": False,
        "eos": True,
    }
    read = tomllib.loads(
        toml(OGG % ('{"features": "raw", "sample_rate": 8000}', '{"class": "Utf8ByteTargets"}'))
    )
    made = toml(OGG % ("{}", '{"class": {"a": 1}}'))
    assert "a guess; RETURNN: {'a': 1}, which has no counterpart" in made
    assert read["data"]["data"]["type"] == "audio"
    assert read["data"]["classes"] == {"field": "text", "type": "bytes"}


def test_datasets_inside_of_others(toml):
    clean = '{"class": "HDFDataset", "files": ["a.hdf"]}'
    noisy = '{"class": "HDFDataset", "files": ["b.hdf"], "repeat_epoch": 2}'
    together = (
        f'{{"class": "CombinedDataset", "datasets": {{"a": {clean}, "b": {noisy}}}, "data_map": {{%s}}, '
    )
    together += '"seq_ordering": "laplace:.10", "partition_epoch": 3}\n'
    same = '("a", "data"): "data", ("b", "data"): "data"'
    read = tomllib.loads(toml(f"train = {together % same}"))["corpus"]["train"]
    assert read["files"] == ["a.hdf", "b.hdf", "b.hdf"]
    assert (read["seq_ordering"], read["partition_epoch"]) == ("laplace:.10", 3)
    made = toml(f"train = {together % '(%r, %r): %r' % ('b', 'data', 'data')}")
    assert tomllib.loads(made)["corpus"]["train"]["files"] == ["b.hdf", "b.hdf"]  # a is not in data_map
    other = same.replace('"): "data"', '"): "d"', 1)
    made = toml(f"train = {together % other}")
    assert "write it by RETURNN's tools/hdf_dump.py, from CombinedDataset" in made
    assert "of different data keys: here every sequence has all" in made
    wrapped = f'{{"class": "MultiProcDataset", "dataset": {clean}, "num_workers": 4}}\n'
    assert tomllib.loads(toml(f"train = {wrapped}"))["corpus"]["train"]["files"] == ["a.hdf"]
    both = f'{{"class": "ConcatDataset", "datasets": [{clean}, {noisy}]}}\n'
    assert tomllib.loads(toml(f"train = lambda_()\ndef get():\n  return {both}train = get"))["corpus"][
        "train"
    ]["files"] == ["a.hdf", "b.hdf", "b.hdf"]


COMBINED = """train = {"class": "CombinedDataset", "datasets": {
    "z": {"class": "HDFDataset", "files": ["z.hdf"], "seq_ordering": "random", "partition_epoch": 2},
    "a": {"class": "OggZipDataset", "path": "a.zip", "audio": None, "targets": None}},
    "data_map": {("z", "orth"): "orth", ("a", "orth"): "orth"}%s}
"""


def test_what_is_combined_by_numbers_of_sequences_is_mixed_and_the_rest_is_refused(toml):
    made = toml(COMBINED.replace('"orth")', '"data")') % "")
    assert 'files = ["train.hdf"]' in made
    text = COMBINED.replace('OggZipDataset", "path": "a.zip"', 'HDFDataset", "files": ["a.hdf"]') % (
        ', "sampling_sizes": {"z": 3000, "a": 2000}, "seq_ordering": "random"'
    )
    made = toml(text)
    read = tomllib.loads(made)["corpus"]["train"]
    assert (read["files"], read["share"]) == (["a.hdf"], 2)
    assert read["mix"] == {"z": {"format": "hdf", "files": ["z.hdf"], "share": 3}}
    assert "partition_epoch = (sequences of a) / 2000 gives an epoch as many as there" in made
    assert "of z alone: seq_ordering = 'random', partition_epoch = 2; no counterpart" in made
    assert "hdf_dump.py" in toml(text.replace("3000", "0"))
    assert "mix" not in tomllib.loads(toml(f"{HDF}{text.replace('train =', 'dev =')}"))["corpus"]["dev"]


def test_what_is_joined_stays_joined_inside_of_others(toml):
    inner = """{"class": "MetaDataset", "datasets": {
        "f": {"class": "HDFDataset", "files": ["%s-f.hdf"]},
        "l": {"class": "HDFDataset", "files": ["%s-l.hdf"]}},
        "data_map": {"data": ("f", "data"), "classes": ("l", "data")}}"""
    names = {name: inner.replace("%s", name) for name in "ab"}
    pairs = ", ".join(f'("{name}", "{key}"): "{key}"' for name in "ab" for key in ("data", "classes"))
    combined = f'train = {{"class": "CombinedDataset", "datasets": {{"a": {names["a"]}, "b": {names["b"]}}}, '
    combined += f'"data_map": {{{pairs}}}%s}}\n'
    read = tomllib.loads(toml(combined % ', "sampling_sizes": {"a": 100, "b": 50}'))["corpus"]["train"]
    joined = {"format": "hdf", "data_keys": ["classes"]}
    assert (read["files"], read["join"]) == (["a-f.hdf"], {**joined, "files": ["a-l.hdf"]})
    mixed = read["mix"]["b"]
    assert (mixed["files"], mixed["join"]) == (["b-f.hdf"], {**joined, "files": ["b-l.hdf"]})
    assert "hdf_dump.py, from CombinedDataset" in toml(combined % "")
    concat = f'train = {{"class": "ConcatDataset", "datasets": [{names["a"]}, {names["b"]}]}}\n'
    assert "hdf_dump.py, from ConcatDataset" in toml(concat)


def test_who_decides_the_order_of_joined_datasets(toml):
    text = """train = {"class": "MetaDataset", "datasets": {
        "a": {"class": "HDFDataset", "files": ["a.hdf"], "seq_ordering": "sorted", "segment_file": "s"},
        "b": {"class": "HDFDataset", "files": ["b.hdf"]}},
        "data_map": {"data": ("a", "data"), "classes": ("b", "data")},
        "seq_ordering": "random", "partition_epoch": 4%s}
    """
    read = tomllib.loads(toml(text % ""))["corpus"]["train"]
    found = (read["seq_ordering"], read["partition_epoch"], read["only_tags"])
    assert found == ("random", 4, "s")
    read = tomllib.loads(toml(text % ', "seq_order_control_dataset": "a"'))["corpus"]["train"]
    assert read["seq_ordering"] == "sorted" and "partition_epoch" not in read
    made = toml(text.replace('("a", "data")', '("a", "x")') % ', "seq_order_control_dataset": "a"')
    assert "RETURNN orders by lengths of a that data_map leaves out" in made


def test_what_cannot_be_read_of_a_dataset_is_said(toml):
    made = toml('train = "{\'class\': " + "not " * 4000 + "1}"')
    assert "(nested too deeply)" in made


def test_no_corpus_takes_the_name_of_another(toml):
    made = toml(HDF + 'dev = "b.hdf"\neval_datasets = {"c d": "c.hdf", "c_d": "d.hdf", "dev": "e.hdf"}\n')
    corpora = tomllib.loads(made)["corpus"]
    assert {name: corpus["files"] for name, corpus in corpora.items()} == {
        "train": ["a.hdf"],
        "dev": ["b.hdf"],
        "c_d": ["c.hdf"],
        "c_d_": ["d.hdf"],
        "dev_": ["e.hdf"],
    }


def test_an_option_that_two_of_theirs_mean_is_there_once(toml):
    made = toml(HDF.replace("}", ', "segment_file": "a.txt", "seq_list_filter_file": "b.txt"}'))
    assert 'only_tags = "b.txt"' in made
    assert "# only_tags = 'a.txt', too" in made


def test_the_command_says_what_was_not_read_and_overwrites_nothing(config, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = config('train = {"class": "HDFDataset", "files": [glob("a.*.hdf")]}\nbatch_size = 9\n')
    main(["import-returnn", path])
    out = capsys.readouterr().out
    assert "wrote config.toml; read its comments" in out
    assert "not read: line 2: glob('a.*.hdf')" in out
    assert "then: seqmill plan config.toml" in out
    with pytest.raises(SystemExit) as end:
        main(["import-returnn", path])
    assert end.value.code == 2
    assert "config.toml: is there already" in capsys.readouterr().err
