import math
from pathlib import Path

import orjson
import pytest

from seqmill.trainer import scores
from seqmill.trainer.checkpoints import FORMAT, folder_name
from seqmill.trainer.options import CleanupPolicy
from seqmill.trainer.ranking import ModelFolder, rank
from seqmill.trainer.scores import History
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.manifest_file import seal


def history(values, score="loss", corpus="dev", data=lambda epoch: "a"):
    found = History("mine")
    for epoch, value in enumerate(values, 1):
        found.add(epoch, "train", {"loss": epoch}, "t")
        found.add(epoch, corpus, {"loss": 1.0, score: value}, data(epoch))
    return found


@pytest.fixture
def folder(tmp_path):
    """A model folder with checkpoints of epochs 1 to 3 and another training's of epoch 4."""
    scores.write(str(tmp_path), history([0.3, 0.1, 0.2, 0.05]))
    for epoch in (1, 2, 3, 4):
        folder = tmp_path / folder_name(epoch)
        folder.mkdir()
        content = {
            "format": FORMAT,
            "epoch": epoch,
            "training": "mine" if epoch < 4 else "x",
            "file_bytes": {},
        }
        (folder / "checkpoint.json").write_bytes(orjson.dumps(content))
    return str(tmp_path)


def test_by_the_loss_of_dev_unless_something_else_is_named():
    values = [0.5, math.nan, 0.25, 0.25]
    assert list(rank(history(values), CleanupPolicy()).epochs) == [3, 4, 1]
    assert rank(history(values, corpus="a.b"), CleanupPolicy()).score == "a.b_loss"
    ranking = rank(history(values, "accuracy"), CleanupPolicy(keep_best_by="dev.accuracy:max"))
    assert ranking.score == "dev_accuracy" and ranking.epochs == {1: 0.5, 3: 0.25, 4: 0.25}
    only_train = History()
    only_train.add(1, "train", {"loss": 2})
    assert rank(only_train, CleanupPolicy()).epochs == {1: 2.0}


def test_only_scores_on_the_data_of_the_newest_are_ranked():
    found = history([0.1, 0.5, 0.2], data=lambda epoch: "a" if epoch == 1 else "b")
    ranking = rank(found, CleanupPolicy())
    assert list(ranking.epochs) == [3, 2] and ranking.on_other_data == (1,)


def test_what_a_name_chooses_among_the_checkpoints_of_this_training(folder):
    models = ModelFolder(folder, CleanupPolicy())
    assert {name: models.choose(name).epoch for name in ("best", "last", "1")} == {
        "best": 2,
        "last": 3,
        "1": 1,
    }
    assert [one.epoch for one in models.best(3)] == [2, 3, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("4", "no checkpoint of epoch 4; complete ones of this training: 1, 2, 3"),
        ("bets", "--checkpoint=bets: expected best, last, final, average or an epoch's number"),
        ("final", "final: no model.json: it is written when `seqmill train` ends"),
        ("average", "average: no model.json: run `seqmill average` first"),
    ],
)
def test_names_that_choose_nothing(folder, name, message):
    with pytest.raises(UsageError, match=message):
        ModelFolder(folder, CleanupPolicy()).choose(name)


def test_nothing_of_another_training_and_no_more_than_there_are(folder, tmp_path):
    content = {"format": "seqmill.model/1", "training": "x", "epoch": 3, "file_bytes": {}}
    Path(folder, "final").mkdir()
    path = Path(folder, "final/model.json")
    files.write_json(str(path), seal(content))
    models = ModelFolder(folder, CleanupPolicy())
    with pytest.raises(SeqmillError, match="is of another training"):
        models.choose("final")
    path.write_bytes(orjson.dumps({**seal(content), "training": "mine"}))
    with pytest.raises(SeqmillError, match="is not what was written"):
        models.choose("final")
    with pytest.raises(UsageError, match="4 of the best were asked for, but 3 checkpoints"):
        models.best(4)
    with pytest.raises(UsageError, match="0 checkpoints of this training with dev_per"):
        ModelFolder(folder, CleanupPolicy(keep_best_by="dev.per")).choose("best")
    with pytest.raises(SeqmillError, match="no training"):
        ModelFolder(str(tmp_path / "nowhere"), CleanupPolicy())
