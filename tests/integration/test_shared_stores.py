"""``store = FOLDER``: the stores of another output are used, never written, and must fit."""

import shutil

import pytest
from seqmill_runs import read_epochs, tree, write_config, write_jsonl

WORDS = ["sea", "saw", "tea", "see", "wet", "ease"]
DATA = {"data": {"field": "word", "type": "chars"}, "text": {"field": "word", "type": "bytes"}}


def corpora(**options):
    return {
        "train": {"format": "jsonl", "files": ["a.jsonl"], **options},
        "dev": {"format": "jsonl", "files": ["b.jsonl"]},
    }


@pytest.fixture(scope="module")
def features(tmp_path_factory, silent_seqmill):
    """An output with stores and vocabularies, and its input beside it."""
    folder = tmp_path_factory.mktemp("features")
    write_jsonl(folder / "a.jsonl", [{"word": word} for word in WORDS])
    write_jsonl(folder / "b.jsonl", [{"word": word} for word in WORDS[:3]])
    config = write_config(folder, DATA, corpora())
    silent_seqmill.succeeds("preprocess", config)
    return folder


@pytest.fixture
def experiment(features, tmp_path):
    """Writes the configuration of an experiment on the same input."""
    for name in ("a.jsonl", "b.jsonl"):
        shutil.copy2(features / name, tmp_path)

    def write(data=DATA, train_options=None, **options):
        options = {"store": features / "out", "max_seqs": 2, **options}
        return write_config(tmp_path, data, corpora(**train_options or {}), **options)

    return write


def test_epochs_are_made_from_the_stores_of_another_output(features, experiment, tmp_path, seqmill):
    before = tree(features)
    config = experiment(seq_ordering="reverse")
    planned = seqmill.succeeds("plan", config)
    ended = seqmill.succeeds("preprocess", config)
    for said in (planned, ended):
        assert f"the stores in {features / 'out'} are used, which fit" in said.err
    assert not (tmp_path / "out/store").exists() and not (tmp_path / "out/vocab").exists()
    own = tmp_path / "own"
    seqmill.succeeds("preprocess", config, "--store=none", f"--output={own}")
    for corpus in ("train", "dev"):
        assert tree(tmp_path / f"out/epochs/{corpus}") == tree(own / f"epochs/{corpus}")
    assert len(read_epochs(tmp_path / "out")) == 1
    assert "up to date" in seqmill.succeeds("preprocess", config).err
    assert "no store beside the epochs" in seqmill.succeeds("verify", tmp_path / "out").err
    verified = seqmill.succeeds("verify", tmp_path / "out", f"--store={features / 'out'}")
    assert "compared with the store" in verified.err
    seqmill("verify", tmp_path / "out", "--store=nowhere").names(
        "--store=nowhere: there is no nowhere/store/dev"
    )
    assert tree(features) == before


def test_without_their_input_stores_are_taken_as_they_are(experiment, tmp_path, seqmill):
    config = experiment()
    (tmp_path / "b.jsonl").unlink()
    ended = seqmill.succeeds("preprocess", config)
    assert "b.jsonl: no such file" in ended.err
    assert "are taken as they are" in ended.err


def test_stores_that_do_not_fit_are_refused(features, experiment, tmp_path, seqmill):
    seqmill("preprocess", experiment(store="nowhere")).names(
        "store: ", "nowhere: no store of corpus train (it holds no stores)"
    )
    seqmill("preprocess", experiment(store="out")).names("is output itself")
    seqmill("ingest", experiment(data={"data": DATA["data"]})).names("its data keys are data, text, not data")
    bytes_key = {**DATA, "data": {"field": "word", "type": "bytes"}}
    seqmill("plan", experiment(data=bytes_key)).names(
        'of its data key data, type is "chars", not "bytes"; dtype'
    )
    with_end = {**DATA, "data": {**DATA["data"], "eos": True}}
    seqmill("preprocess", experiment(data=with_end)).names("of its data key data, eos is not set, not true")
    other_field = {**DATA, "text": {"field": "other", "type": "bytes"}}
    seqmill("preprocess", experiment(data=other_field)).names("read with other options")
    seqmill("preprocess", experiment(train_options={"files": ["b.jsonl"]})).names(
        "it was made from a.jsonl, not from b.jsonl"
    )
    counted = features / "out/vocab/data.txt"
    counted.rename(tmp_path / "kept.txt")
    seqmill("plan", experiment()).names("data.txt: no such file; ingest again with the configuration of")
    (tmp_path / "kept.txt").rename(counted)
    write_jsonl(tmp_path / "a.jsonl", [{"word": "other"}])
    seqmill("preprocess", experiment()).names("is not what corpus.train asks for", "held something else")
    assert not (tmp_path / "out/epochs").exists()
