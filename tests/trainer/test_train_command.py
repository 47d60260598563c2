from pathlib import Path

import orjson
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus

from seqmill.trainer import checkpoints
from seqmill.trainer.command import cleanup_command, corpus_folders, train_command
from seqmill.trainer.model_file import build_model, load_model_file
from seqmill.trainer.options import CleanupPolicy, TrainOptions
from seqmill.transforms.batches import manifest
from seqmill.transforms.storage.errors import SeqmillError, UsageError


@pytest.fixture
def output(tmp_path):
    write_corpus(tmp_path / "epochs/train", regression_epochs([3, 2, 3, 2, 3]), SPECS)
    write_corpus(tmp_path / "epochs/test", regression_epochs([1], seed=6), SPECS)
    write_corpus(tmp_path / "epochs/dev", regression_epochs([2], seed=5), SPECS)
    return str(tmp_path)


def model_at(tmp_path, text):
    path = Path(tmp_path, "model.py")
    path.write_text(text)
    return f"{path}:build"


SMALL_MODEL = """
import keras
from helper_beside import WIDTH

def build(manifest):
    data = keras.Input((None, 3), name="frames")
    model = keras.Model(data, keras.layers.Dense(WIDTH)(data))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model

def batch_to_xy(batch):
    return batch["data"], batch["classes"]

def extra_scores(model, corpus):
    return {"corpus_size": corpus.epoch(1).num_seqs}

class Marker(keras.callbacks.Callback):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_train_end(self, logs=None):
        open(self.folder + "/marker", "w").close()

def callbacks(manifest, folder):
    return [Marker(folder)]
"""


def test_trains_evaluates_and_cleans_up(output, tmp_path, capsys):
    Path(tmp_path, "helper_beside.py").write_text("WIDTH = 5")
    model = model_at(tmp_path, SMALL_MODEL)
    assert train_command(TrainOptions(num_epochs=5, model=model), output, ["test", "dev", "train"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("epoch ") == 5 and "dev loss" in printed
    content = orjson.loads(Path(output, "model/scores.json").read_bytes())
    assert list(content["epochs"]["5"]) == ["train", "dev", "test"]
    assert content["epochs"]["1"]["dev"]["corpus_size"] > 0
    assert Path(output, "model/marker").exists()

    policy = CleanupPolicy(keep_last_n=1, keep_best_n=0, keep=frozenset({2}))
    assert cleanup_command(policy, output, dry_run=True) == 0
    assert "would delete" in capsys.readouterr().out
    assert sorted(checkpoints.find(f"{output}/model")[0]) == [1, 2, 3, 4, 5]
    assert cleanup_command(policy, output, dry_run=False) == 0
    assert "listed in keep" in capsys.readouterr().out
    assert sorted(checkpoints.find(f"{output}/model")[0]) == [2, 5]


def test_corpora_train_and_dev_first():
    folders = corpus_folders("out", ["test", "a", "dev", "train"])
    assert [Path(folder).name for folder in folders] == ["train", "dev", "a", "test"]


def test_nothing_to_clean_up(tmp_path):
    with pytest.raises(SeqmillError, match="no model folder"):
        cleanup_command(CleanupPolicy(), str(tmp_path), dry_run=True)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("", "no model: set model"),
        ("model.py", "expected .FILE.py:function."),
        ("nowhere.py:build", "there is no file nowhere.py"),
    ],
)
def test_a_model_option_that_names_no_function(output, model, message):
    with pytest.raises(UsageError, match=message):
        train_command(TrainOptions(num_epochs=1, model=model), output, ["train"])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "[keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(5)]",
            r"training failed: ValueError: Argument `output` must have rank .*\n"
            r"The model's output: float32 \[any, 5\]\n",
        ),
        (
            "[keras.layers.Dense(2)]",
            r"training failed: InvalidArgumentError: Received a label value of 4 .*\n"
            r"The model's output: float32 \[any, any, 2\]\n",
        ),
    ],
)
def test_outputs_that_do_not_fit_the_targets(output, tmp_path, layers, message):
    model = model_at(
        tmp_path,
        f"""
import keras

def build(manifest):
    data = keras.Input((None, 3), name="data")
    result = data
    for layer in {layers}:
        result = layer(result)
    model = keras.Model(data, result)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
""",
    )
    message += (
        r"The target: classes: int32 \[any, any\], labels from 0 to 4\nThe trace is in .*/failure\.txt$"
    )
    with pytest.raises(SeqmillError, match=message):
        train_command(TrainOptions(num_epochs=1, model=model), output, ["train"])
    assert "Traceback" in Path(output, "model/failure.txt").read_text()


def test_a_batch_to_xy_that_fails(output, tmp_path):
    Path(tmp_path, "helper_beside.py").write_text("WIDTH = 5")
    text = SMALL_MODEL.replace('return batch["data"], batch["classes"]', 'raise ValueError("no such column")')
    with pytest.raises(SeqmillError, match=r"training failed: ValueError: (ValueError: )?no such column\n"):
        train_command(TrainOptions(num_epochs=1, model=model_at(tmp_path, text)), output, ["train"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def other(manifest): pass", "defines no function 'build'"),
        (
            "import no_such_module_here",
            r"^\S*model\.py imports no_such_module_here, which is not installed \(`pip install .*\)[^\n]*$",
        ),
        ("import keras.no_such_part", "No module named 'keras.no_such_part'(.|\\n)*cannot be loaded"),
        (
            "def build(manifest):\n    return 1 / 0",
            "line 2, in build(.|\\n)*ZeroDivisionError",
        ),
        ("def build(manifest): return 7", "returned int; expected function"),
        ("import keras\ndef build(manifest): return keras.Sequential()", "not compiled; expected"),
    ],
)
def test_model_functions_that_do_not_work(output, tmp_path, text, message):
    found = manifest.read(f"{output}/epochs/train")
    with pytest.raises(SeqmillError, match=message):
        build_model(load_model_file(model_at(tmp_path, text)), found)
