"""Data parts of public RETURNN configs with the data sets of speech of today, as in ``public_configs``."""

from __future__ import annotations

# rwth-i6/returnn-experiments: 2020-librispeech-data-prepare/returnn.config
LIBRISPEECH_OGG = """#!crnn/rnn.py
import os
import numpy

use_tensorflow = True
extern_data = {
    "data": {"dim": 40},
    "classes": {"dim": 12, "sparse": True}
}
_EpochSplit = 2
_Parts = [
    "train-clean-100", "train-clean-360", "train-other-500",
    "dev-clean", "dev-other",
    "test-clean", "test-other"]

def get_dataset(key, subset=None, train_partition_epoch=None):
    files = []
    parts = [part for part in _Parts if part.startswith(key)]
    assert parts
    for part in parts:
        files += ["data/dataset-ogg/%s.zip" % part, "data/dataset-ogg/%s.txt.gz" % part]
    d = {
        "class": 'OggZipDataset',
        "path": files,
        "zip_audio_files_have_name_as_prefix": False,
        "targets": {
            'bpe_file': 'data/dataset/trans.bpe.codes',
            'vocab_file': 'data/dataset/trans.bpe.vocab',
            'seq_postfix': [0],
            'unknown_label': None
            },
        "audio": {
            "norm_mean": "data/dataset/stats.mean.txt",
            "norm_std_dev": "data/dataset/stats.std_dev.txt"},
    }
    if key.startswith("train"):
        d["partition_epoch"] = train_partition_epoch
        if key == "train":
            d["epoch_wise_filter"] = {
                (1, 5): {'max_mean_len': 5000},
                (6, 10): {'max_mean_len': 15000},
            }
        d["seq_ordering"] = "laplace:.10"
    else:
        d["targets"]['unknown_label'] = '<unk>'
        d["fixed_random_seed"] = 1
        d["seq_ordering"] = "sorted_reverse"
    if subset:
        d["fixed_random_subset"] = subset
    return d

train = get_dataset("train", train_partition_epoch=_EpochSplit)
dev = get_dataset("dev", subset=3000)
batch_size = 120
max_seqs = 9
num_epochs = 2
log = None
log_verbosity = 5
"""

# rwth-i6/i6_experiments: a config that its attention setups for conformers write
CONFORMER_OGG = """#!rnn.py
def speed_pert(audio, sample_rate, random_state):
    new_sample_rate = int(sample_rate * (1 + random_state.randint(-1, 2) * 0.0))
    if new_sample_rate != sample_rate:
        import librosa
        audio = librosa.core.resample(audio, sample_rate, new_sample_rate, res_type="kaiser_fast")
    return audio

accum_grad_multiple_step = 2
adam = True
batch_size = 9000
batching = "random"
cleanup_old_models = True
dev = {
    "class": "MetaDataset",
    "data_map": {
        "audio_features": ("zip_dataset", "data"),
        "bpe_labels": ("zip_dataset", "classes"),
    },
    "datasets": {
        "zip_dataset": {
            "class": "OggZipDataset",
            "path": "work/BlissToOggZipJob.Wgp6/output/dev.ogg.zip",
            "use_cache_manager": True,
            "audio": {"features": "raw", "peak_normalization": True, "preemphasis": None},
            "targets": {
                "class": "BytePairEncoding",
                "bpe_file": "work/ReturnnTrainBpeJob.Jc3x/output/bpe.codes",
                "vocab_file": "work/ReturnnTrainBpeJob.Jc3x/output/bpe.vocab",
                "unknown_label": None,
                "seq_postfix": [0],
            },
            "segment_file": None,
            "partition_epoch": 1,
            "seq_ordering": "sorted_reverse",
        }
    },
    "seq_order_control_dataset": "zip_dataset",
}
extern_data = {
    "audio_features": {"available_for_inference": True, "shape": (None, 1), "dim": 1},
    "bpe_labels": {"available_for_inference": False, "shape": (None,), "dim": 12, "sparse": True},
}
learning_rate = 0.0008
learning_rates = [8e-05, 8.4e-05]
max_seqs = 7
num_epochs = 2
search_output_layer = "decision"
target = "classes"
task = "train"
train = {
    "class": "MetaDataset",
    "data_map": {
        "audio_features": ("zip_dataset", "data"),
        "bpe_labels": ("zip_dataset", "classes"),
    },
    "datasets": {
        "zip_dataset": {
            "class": "OggZipDataset",
            "path": "work/BlissToOggZipJob.kjOf/output/train.ogg.zip",
            "use_cache_manager": True,
            "audio": {
                "features": "raw",
                "peak_normalization": True,
                "preemphasis": None,
                "pre_process": speed_pert,
            },
            "targets": {
                "class": "BytePairEncoding",
                "bpe_file": "work/ReturnnTrainBpeJob.Jc3x/output/bpe.codes",
                "vocab_file": "work/ReturnnTrainBpeJob.Jc3x/output/bpe.vocab",
                "unknown_label": None,
                "seq_postfix": [0],
            },
            "segment_file": "work/segments.train",
            "partition_epoch": 2,
            "seq_ordering": "laplace:.10",
        }
    },
    "seq_order_control_dataset": "zip_dataset",
}
"""

# rwth-i6/i6_experiments: hybrid models of Switchboard's sound, with alignments that ReturnnDumpHDFJob wrote
HYBRID_OGG = """#!rnn.py
def get_meta(name, ogg_options):
    return {
        "class": "MetaDataset",
        "context_window": {"classes": 1, "data": 1},
        "data_map": {"classes": ("hdf", "classes"), "data": ("ogg", "data")},
        "datasets": {
            "hdf": {"class": "HDFDataset", "files": ["work/%s_alignments.hdf" % name]},
            "ogg": {
                "audio": {"features": "raw", "sample_rate": 8000},
                "class": "OggZipDataset",
                "path": "work/%s.ogg.zip" % name,
                "targets": None,
                **ogg_options,
            },
        },
        "seq_order_control_dataset": "ogg",
    }

train = get_meta("train", {"partition_epoch": 2, "seq_ordering": "laplace:4"})
dev = get_meta("dev", {"fixed_random_seed": 1, "seq_ordering": "sorted_reverse"})
extern_data = {"data": {"dim": 1}, "classes": {"dim": 5, "sparse": True}}
chunking = ({"data": 640, "classes": 8}, {"data": 320, "classes": 4})
batch_size = {"data": 5000, "classes": 80}
max_seqs = 128
num_epochs = 2
"""

# rwth-i6/i6_experiments: MetaDataset as OggZipHdfDataInput writes it, where nothing controls the order
META_ORDER = """#!rnn.py
train = {
    "class": "MetaDataset",
    "data_map": {"classes": ("hdf", "classes"), "data": ("feature", "data")},
    "datasets": {
        "hdf": {"class": "HDFDataset", "use_cache_manager": True, "files": ["align.train.hdf"]},
        "feature": {"class": "HDFDataset", "files": ["train.hdf"], "seq_ordering": "sorted"},
    },
    "partition_epoch": 2,
    "seq_ordering": "random",
}
dev = {
    "class": "MetaDataset",
    "data_map": {"classes": ("hdf", "classes"), "data": ("feature", "data")},
    "datasets": {
        "hdf": {"class": "HDFDataset", "files": ["align.dev.hdf"]},
        "feature": {"class": "HDFDataset", "files": ["dev.hdf"], "seq_ordering": "sorted_reverse"},
    },
    "seq_ordering": "default",
}
extern_data = {"data": {"dim": 3}, "classes": {"dim": 5, "sparse": True}}
batch_size = 60
max_seqs = 9
num_epochs = 2
"""

# rwth-i6/returnn: docs/dataset_reference, CombinedDataset, of corpora that give the same data
COMBINED_HDF = """#!rnn.py
def hdf(name, **options):
    return {"class": "HDFDataset", "files": ["%s.1.hdf" % name, "%s.2.hdf" % name], **options}

train = {
    "class": "CombinedDataset",
    "datasets": {"tedlium": hdf("tedlium"), "librispeech": hdf("librispeech", repeat_epoch=2)},
    "data_map": {
        ("tedlium", "data"): "data", ("tedlium", "classes"): "classes",
        ("librispeech", "data"): "data", ("librispeech", "classes"): "classes",
    },
    "seq_ordering": "laplace:.6",
    "partition_epoch": 2,
}
dev = {
    "class": "CombinedDataset",
    "datasets": {"b": hdf("dev-b"), "a": hdf("dev-a"), "unused": hdf("none")},
    "data_map": {
        ("b", "data"): "data", ("b", "classes"): "classes",
        ("a", "data"): "data", ("a", "classes"): "classes",
    },
    "seq_ordering": "default",
}
extern_data = {"data": {"dim": 3}, "classes": {"dim": 5, "sparse": True}}
chunking = "10:5"
batch_size = 60
num_epochs = 2
"""

# rwth-i6/i6_experiments: common/setups/returnn/datasets, CombinedDataset of recorded and of synthetic speech
COMBINED_OGG = """#!rnn.py
targets = {
    "class": "BytePairEncoding", "bpe_file": "bpe.codes", "vocab_file": "bpe.vocab",
    "unknown_label": None, "seq_postfix": [0]}

def zip_dataset(path, **options):
    audio = {"features": "raw", "peak_normalization": False}
    return {"class": "OggZipDataset", "path": [path], "audio": audio, "targets": targets, **options}

train = {
    "class": "CombinedDataset",
    "datasets": {"synthetic": zip_dataset("synthetic.zip"), "real": zip_dataset("real.zip")},
    "data_map": {
        ("synthetic", "data"): "audio_features", ("synthetic", "classes"): "bpe_labels",
        ("real", "data"): "audio_features", ("real", "classes"): "bpe_labels",
    },
    "seq_ordering": "random",
    "partition_epoch": 3,
}
dev = zip_dataset("dev.zip", seq_ordering="sorted")
dev = {
    "class": "MetaDataset", "datasets": {"zip": dev}, "seq_order_control_dataset": "zip",
    "data_map": {"audio_features": ("zip", "data"), "bpe_labels": ("zip", "classes")}}
extern_data = {
    "audio_features": {"shape": (None, 1), "dim": 1},
    "bpe_labels": {"shape": (None,), "dim": 12, "sparse": True}}
batch_size = {"audio_features": 9000}
max_seqs = 6
num_epochs = 3
"""

PUBLIC_SPEECH = {name.lower(): text for name, text in list(globals().items()) if name.isupper()}
