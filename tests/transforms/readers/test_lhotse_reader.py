import orjson
import pytest


def recording(**fields):
    source = {"type": "file", "channels": [0, 1], "source": "a.wav"}
    return {
        "id": "rec",
        "sources": [source],
        "sampling_rate": 16000,
        "num_samples": 32000,
        "duration": 2.0,
        **fields,
    }


def of_source(**fields):
    return recording(sources=[{"channels": [0], **fields}])


def cut(**fields):
    return {
        "id": "cut",
        "start": 0.5,
        "duration": 1.0,
        "channel": 0,
        "recording": recording(),
        "supervisions": [
            {"id": "s2", "start": 0.7, "duration": 0.3, "text": "world", "speaker": "x", "language": "en"},
            {"id": "s1", "start": 0.1, "duration": 0.5, "text": "hello", "speaker": "x", "language": "de"},
        ],
        "type": "MonoCut",
        **fields,
    }


@pytest.fixture
def read(tmp_path, read_corpus):
    def read(*manifests):
        path = tmp_path / "cuts.jsonl"
        path.write_bytes(b"".join(orjson.dumps(manifest) + b"\n" for manifest in manifests))
        return [record for _, record in read_corpus("lhotse", [str(path)], 100)]

    return read


def test_cuts(read):
    (found,) = read(cut(custom={"lang": "en"}))
    assert found["seq_tag"] == "cut"
    assert found["audio"] == "a.wav"
    assert (found["start"], found["duration"], found["channel"]) == (0.5, 1.0, 0)
    assert (found["text"], found["speaker"]) == ("hello world", "x")
    assert "language" not in found
    assert found["custom"] == {"lang": "en"}
    text_only = cut(recording=None, supervisions=[{"text": "x"}])
    assert read(text_only)[0]["text"] == "x"
    assert "audio" not in read(text_only)[0]
    assert "text" not in read(cut(supervisions=[]))[0]


def test_features_and_no_audio(tmp_path, read_corpus):
    features = {"storage_type": "numpy_files", "storage_path": "feats"}
    manifest = cut(features=features, recording=of_source(type="command", source="sox"))
    (tmp_path / "cuts.jsonl").write_bytes(orjson.dumps(manifest) + b"\n")
    ((_, found),) = read_corpus("lhotse", [str(tmp_path / "cuts.jsonl")], 100, ["features"])
    assert found["features"] == {**features, "cut": (0.5, 1.0)}
    assert "audio" not in found


def test_recordings(read):
    (found,) = read(recording())
    assert found == {"seq_tag": "rec", "audio": "a.wav", "channel": [0, 1], "recording": recording()}


def test_the_source_with_the_channel(read, reject):
    sources = [{"type": "file", "channels": [n], "source": f"{n}.wav"} for n in (0, 1)]
    two = recording(sources=sources)
    assert read(cut(recording=two, channel=1))[0]["audio"] == "1.wav"
    assert (
        read(cut(recording=two, channel=[0, 1]), cut(recording=two, channel=2), two)
        == [reject("channel not in the file")] * 3
    )


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (cut(id=5), "missing field"),
        (cut(type="MixedCut", tracks=[]), "a cut of another kind"),
        (cut(type="PaddingCut"), "a cut of another kind"),
        (cut(start=None), "no such segment"),
        (cut(duration="1"), "no such segment"),
        (cut(supervisions=[1]), "missing field"),
        (cut(supervisions=[{"start": 0}, {"start": "x"}]), "no such segment"),
        (cut(channel={"a": 1}), "channel not in the file"),
        (recording(sources=5), "missing audio file"),
        (recording(sources=[5]), "missing audio file"),
        (recording(sources=[{"type": "file", "channels": 1, "source": "a"}]), "missing audio file"),
        (
            recording(sources=[{"type": "command", "channels": [0], "source": "rm x"}]),
            "a recording that is no file",
        ),
        (
            recording(sources=[{"type": "file", "channels": [0], "source": None}]),
            "a recording that is no file",
        ),
        ([], "not a JSON object"),
    ],
)
def test_what_is_rejected(read, reject, manifest, reason):
    assert read(manifest) == [reject(reason)]
