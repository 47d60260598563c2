"""Data parts of public RETURNN configs, each written anew and small, in the shape of the original.

Names and kinds of options, the way they are put together and their spellings are the original's; files and
numbers fit a tiny corpus.
"""

from __future__ import annotations

# rwth-i6/returnn-experiments: 2016-ctc-paper/switchboard/config-train/
# dropout01.l2_1e_2.5l.n500.max_seqs40.grad_noise03.nadam.lr1e_3.grad_clip_inf.config
SWITCHBOARD_HYBRID = """#!rnn.py
import os
from subprocess import check_output

device = "gpu"
_cf_cache = {}

def cf(filename):
    if filename in _cf_cache:
        return _cf_cache[filename]
    if check_output(["hostname"]).strip() in ["here"]:
        return filename
    _cf_cache[filename] = check_output(["cf", filename]).strip()
    return _cf_cache[filename]

num_inputs = 3
num_outputs = 5
EpochSplit = 2

def get_sprint_dataset(data):
    assert data in ["train", "cv"]
    split = {"train": EpochSplit, "cv": 1}
    files = {"config": "config/training.config"}
    files["segments"] = "dependencies/seg_%s" % {"train": "train", "cv": "cv_head3000"}[data]
    num_seqs = {"train": 40, "cv": 12}
    args = [
        "--config=" + files["config"],
        lambda: "--*.segments.file=" + cf(files["segments"]),
        "--dim=%i" % num_outputs]
    return {
        "class": "ExternSprintDataset", "sprintTrainerExecPath": "sprint-executables/nn-trainer",
        "sprintConfigStr": args,
        "partitionEpoch": split[data],
        "estimated_num_seqs": num_seqs[data] // (split[data] or 1)}

train = get_sprint_dataset("train")
dev = get_sprint_dataset("cv")
cache_size = "0"
window = 1
network = {"output": {"class": "softmax", "loss": "ce"}}

batching = "random"
batch_size = 50
max_seqs = 4
chunking = "10:5"
truncation = -1
num_epochs = 2
gradient_clip = 0
nadam = True
gradient_noise = 0.3
learning_rate = 0.001
learning_rate_control = "newbob"
learning_rate_file = "newbob.data"
model = "net-model/network"
log_verbosity = 5
"""

# rwth-i6/returnn-experiments: 2018-asr-attention/librispeech/attention/exp3.ctc.config
LIBRISPEECH_ATTENTION = """#!rnn.py
import os
import numpy

debug_mode = False
if int(os.environ.get("DEBUG", "0")):
    debug_mode = True
if config.has("beam_size"):
    beam_size = config.int("beam_size", 0)
else:
    beam_size = 12

num_inputs = 40
num_outputs = {"classes": (12, 1), "data": (num_inputs, 2)}
EpochSplit = 2

def get_dataset(key, subset=None, train_partition_epoch=None):
    d = {
        'class': 'LibriSpeechCorpus',
        'path': 'base/LibriSpeech',
        "use_zip": True,
        "use_cache_manager": True,
        "prefix": key,
        "bpe": {
            'bpe_file': 'base/trans.bpe.codes',
            'vocab_file': 'base/trans.bpe.vocab',
            'seq_postfix': [0],
            'unknown_label': '<unk>'},
        "audio": {"norm_mean": 0.5, "norm_std_dev": 2.0},
    }
    if key.startswith("train"):
        d["partition_epoch"] = train_partition_epoch
        if key == "train":
            d["epoch_wise_filter"] = {(1, 5): {'max_mean_len': 75, 'subdirs': ['train-clean-100']}}
        num_seqs = 16
        d["seq_ordering"] = "laplace:%i" % (num_seqs // 4)
    else:
        d["fixed_random_seed"] = 1
        d["seq_ordering"] = "sorted_reverse"
    if subset:
        d["fixed_random_subset"] = subset
    return d

train = get_dataset("train", train_partition_epoch=EpochSplit)
dev = get_dataset("dev", subset=3000)
target = "classes"
batching = "random"
log_batch_size = True
batch_size = 120
max_seqs = 200
max_seq_length = {"classes": 75}

def custom_construction_algo(idx, net_dict):
    while "lstm%i_fw" % idx in net_dict:
        idx += 1
    return None

pretrain = {"repetitions": 5, "construction_algo": custom_construction_algo}
num_epochs = 2
cleanup_old_models = True
gradient_clip = 0
adam = True
optimizer_epsilon = 1e-8
stop_on_nonfinite_train_score = False
learning_rate = 0.0008
learning_rates = list(numpy.linspace(0.0003, learning_rate, num=10))
learning_rate_control = "newbob_multi_epoch"
learning_rate_control_min_num_epochs_per_new_lr = 3
newbob_multi_num_epochs = EpochSplit
newbob_learning_rate_decay = 0.9
"""

# rwth-i6/returnn: demos/mdlstm/IAM/config_demo
HANDWRITING = """{
"task": "train",
"device": "gpuX",
"multiprocessing": true,
"batching": "default",
"max_seqs": 10,
"batch_size": 60,
"nadam": 1,
"learning_rates": "{1: 0.0005, 25: 0.0003, 35: 0.0001}",
"num_epochs": 2,
"update_batch_size": 2000000,
"reinit": 0,
"train": "features/raw/train.1.h5,features/raw/train.2.h5",
"dev": "features/raw/train_valid.h5",
"start_epoch": 1,
"num_inputs": 1,
"num_outputs": {"data": [3,2], "classes": [5,1], "sizes": [2,1]},
"network": {"output":  { "class" : "softmax", "loss": "ctc", "dropout": 0.25, "from" : ["mdlstm4"] }},
"model": "models/mdlstm_demo",
"log": "log/mdlstm_demo"
}
"""

# rwth-i6/returnn: demos/demo-tf-enc-dec.config
NUMBER_CONVERSION = """#!rnn.py
import os
demo_name, _ = os.path.splitext(__file__)
print("Hello, experiment: %s" % demo_name)
task = "train"
train = {"class": "TaskNumberBaseConvertDataset", "num_seqs": 100}
out_dim = 5
extern_data = {"data": {"sparse": True, "dim": 5}, "classes": {"sparse": True, "dim": out_dim}}
dev = train.copy()
dev.update({"num_seqs": train["num_seqs"] // 10, "fixed_random_seed": 42})
layer_dim = config.int("layer_dim", 500)
network = {"input_embed": {"class": "linear", "activation": None, "from": "data", "n_out": layer_dim}}
batching = "random"
batch_size = 60
max_seqs = 5
chunking = "0"
adam = True
learning_rate = 0.0005
learning_rate_control = "newbob"
model = "/tmp/%s/model" % demo_name
num_epochs = 2
save_interval = 20
tf_log_memory_usage = True
"""

# rwth-i6/returnn: demos/demo-rhn-enwik8.config
ENWIK8 = """#!rnn.py
import os
demo_name, _ = os.path.splitext(__file__)
task = config.value("task", "train")
batch_num_seqs = 7
batch_seq_len = 200

def get_dataset(key):
    return {
        'class': 'Enwik8Corpus', 'path': '/tmp',
        'subset': key,
        'seq_len': batch_seq_len,
        'batch_num_seqs': batch_num_seqs,
        'fixed_random_seed': 1 if key == 'validation' else None
        }

train = get_dataset("training")
dev = get_dataset("validation")
num_inputs = 5
num_outputs = {"data": {'sparse': True, "dim": num_inputs, "dtype": "uint8"}}
num_outputs["classes"] = num_outputs['data'].copy()
network = {'output': {'class': 'softmax', 'loss': "ce"}}
batching = "random"
batch_size = 0
max_seq_length = 0
max_seqs = batch_num_seqs
num_epochs = 2
cleanup_old_models = True
optimizer = {"class": "adam"}
stop_on_nonfinite_train_score = False
"""

# rwth-i6/returnn: demos/demo-torch.config
TORCH_DEMO = """#!returnn.py
import os
backend = "torch"
task = "train"
train = {"class": "Task12AXDataset", "num_seqs": 1000}
dev = {"class": "Task12AXDataset", "num_seqs": 100, "fixed_random_seed": 1}
num_inputs = 3
num_outputs = 5
extern_data = {"data": {"dim": num_inputs}, "classes": {"dim": num_outputs, "sparse": True}}
model_outputs = {"output": {"dim": num_outputs}}
batching = "random"
batch_size = 50
max_seqs = 10

class Model:
    def __init__(self):
        self.layers = [num_inputs, 50, 5]

def get_model(*, epoch, step, **_kwargs):
    return Model()

def train_step(*, model, extern_data, **_kwargs):
    data = extern_data["data"]

optimizer = {"class": "adam"}
learning_rate = 0.01
learning_rate_control = "newbob"
learning_rate_decay = 0.9
newbob_relative_error_threshold = 0.0
num_epochs = 2
"""

# rwth-i6/returnn: demos/demo-timit-lstm-ctc.config
TIMIT = """#!rnn.py
import os
debug_mode = False
if int(os.environ.get("DEBUG", "0")):
    debug_mode = True
raw_timit_dir = "/u/corpora/timit"
raw_timit_dir = None
num_outputs = {'data': (3, 2), 'classes': (5, 1)}
num_inputs = num_outputs["data"][0]
if raw_timit_dir:
    num_seqs = {'train': 3696, 'dev': 192}
else:
    num_seqs = {'train': 40, 'dev': 12}
EpochSplit = 1
SeqOrderTrainBins = num_seqs["train"] // 10
TrainSeqOrder = "laplace:%i" % SeqOrderTrainBins
if debug_mode:
    TrainSeqOrder = "default"

def get_dataset(data):
    epochSplit = {"train": EpochSplit}.get(data, 1)
    d = {
        "class": "TimitDataset" if raw_timit_dir else "NltkTimitDataset",
        "with_delta": True,
        "train": (data == "train"),
        "seq_ordering": {"train": TrainSeqOrder, "dev": "sorted"}.get(data, "default"),
        "estimated_num_seqs": (num_seqs.get(data, None) // epochSplit) if data in num_seqs else None}
    if raw_timit_dir:
        d["timit_dir"] = raw_timit_dir
    return d

train = get_dataset("train")
dev = get_dataset("dev")
batching = "random"
batch_size = 80
max_seqs = 64
max_seq_length = batch_size
truncation = -1
num_epochs = 2
model_dir = "/tmp/%s" % os.environ.get("USER", "me")
model = "%s/model" % model_dir
cleanup_old_models = True
nadam = True
gradient_noise = 0.1
learning_rate_control = "newbob_multi_epoch"
newbob_multi_update_interval = 1
"""

# rwth-i6/returnn-experiments: 2019-lm-transformers/librispeech/word_200k_vocab/lstm_baseline_2_4096.config
WORD_LM = """#!rnn.py
import os
if config.has("use_full_softmax"):
   use_full_softmax = config.bool("use_full_softmax", True)
else:
   use_full_softmax = False
data_files = {"train": "data/train.lm.txt.gz", "cv": "data/dev.clean.txt"}
vocab_file = "data/vocab.word.txt"
orth_replace_map_file = ""
num_inputs = 8
train_epoch_split = 2
epoch_split = {"train": train_epoch_split, "cv": 1, "test": 1}
seq_order = {"train": "random", "cv": "sorted", "test": "default"}

def get_dataset(data):
    assert data in ["train", "cv", "test"]
    return {
        "class": "LmDataset",
        "corpus_file": data_files[data],
        "orth_symbols_map_file": vocab_file,
        "orth_replace_map_file": orth_replace_map_file,
        "word_based": True,
        "seq_end_symbol": "<sb>",
        "auto_replace_unknown_symbol": False,
        "unknown_symbol": "<UNK>",
        "add_delayed_seq_data": True,
        "delayed_seq_data_start_symbol": "<sb>",
        "seq_ordering": seq_order[data],
        "partition_epoch": epoch_split[data]
    }

train = get_dataset("train")
dev = get_dataset("cv")
num_outputs = {"data": {"dim": num_inputs, "sparse": True, "dtype": "int32"}}
num_outputs["delayed"] = num_outputs["data"]
target = "data"
batching = "random"
batch_size = 30
max_seq_length = 602
max_seqs = 6
chunking = "0"
num_epochs = 2
gradient_clip_global_norm = 2.
learning_rate = 1.
learning_rate_control = "newbob_rel"
learning_rate_control_error_measure = "dev_score_output:exp"
calculate_exp_loss = True
"""

# rwth-i6/returnn-experiments: 2020-rnn-transducer/configs/base2.conv2l.specaug4a.ctc.devtrain.config
TRANSDUCER_BASELINE = """#!rnn.py
import os
num_inputs = 3
num_outputs = {"bpe": (5, 1), "data": (num_inputs, 2)}
targetb_num_labels = num_outputs["bpe"][0] + 1
EpochSplit = 2

def get_sprint_dataset(data):
    assert data in {"train", "cv", "devtrain", "dev"}
    epoch_split = {"train": EpochSplit}.get(data, 1)
    corpus_name = {"cv": "train", "devtrain": "train"}.get(data, data)
    files = {}
    files["corpus"] = "corpora/%s.corpus.gz" % corpus_name
    if data in {"train", "cv", "devtrain"}:
        heads = {"train":"train", "cv":"cv_head3000", "devtrain": "train_head3000"}
        files["segments"] = "seg_%s" % heads[data]
    num_seqs = {"train": 40, "cv": 12, "devtrain": 12}
    args = ["--*.corpus.file=" + files["corpus"], lambda: "x" if "segments" in files else "",
        "--*.chunk-size=%i" % {"train": (EpochSplit or 1) * 1000}.get(data, -1)]
    d = {
        "class": "ExternSprintDataset", "sprintTrainerExecPath": "sprint-executables/nn-trainer",
        "sprintConfigStr": args,
        "partition_epoch": epoch_split,
        "estimated_num_seqs": (num_seqs[data] // epoch_split) if data in num_seqs else None,
    }
    d.update(sprint_interface_dataset_opts)
    return d

sprint_interface_dataset_opts = {
    "input_stddev": 3.,
    "bpe": {'bpe_file': 'bpe_code_1k', 'vocab_file': 'vocab.bpe_code_1k', 'seq_postfix': [0]}}

train = get_sprint_dataset("train")
dev = get_sprint_dataset("cv")
eval_datasets = {"devtrain": get_sprint_dataset("devtrain")}

def transform(data, network, time_factor=1):
    from returnn.tf.compat import v1 as tf
    return tf.where(data, network, time_factor)

target = "bpe"
batching = "random"
batch_size = 70
max_seqs = 9
max_seq_length = {"bpe": 75}
truncation = -1
num_epochs = 2
accum_grad_multiple_step = 2
gradient_clip = 0
learning_rate = 0.001
min_learning_rate = learning_rate / 50.
learning_rate_control = "newbob_multi_epoch"
newbob_multi_num_epochs = 6
"""

# rwth-i6/returnn-experiments: 2020-rnn-transducer/configs/rna3c-lm4a.convtrain.l2a_1e_4.nohdf.encbottle256…
# ….fl2.rep.fixmask.ctcalignfix-ctcalign-p0-6l.chunk60.encctc.devtrain.config
TRANSDUCER_ALIGNED = """#!rnn.py
import os
task = config.value("task", "train")
if config.has("beam_size"):
    beam_size = config.int("beam_size", 0)
else:
    if task == "train":
        beam_size = 4
    else:
        beam_size = 12
target = "bpe"
target_num_labels = 4
targetb_num_labels = target_num_labels + 1
extern_data = {
    "data": {"dim": 3},
    "alignment": {"dim": targetb_num_labels, "sparse": True},
}
if task != "train":
    extern_data[target] = {"dim": target_num_labels, "sparse": True}
EpochSplit = 2
_alignment = "%s.epoch-150" % "ctcalign.prior0"

def get_sprint_dataset(data):
    epoch_split = {"train": EpochSplit}.get(data, 1)
    hdf_files = None
    if data in {"train", "cv", "devtrain"}:
        hdf_files = ["base/%s.data-%s.hdf" % (_alignment, {"cv": "dev", "devtrain": "train"}.get(data, data))]
    files = {}
    files["segments"] = "base/seg_%s" % data
    num_seqs = {"train": 40, "cv": 12}
    args = ["--config=training.config"]
    if not hdf_files:
        args += ["--shuffle=true"]
    d = {"class": "ExternSprintDataset", "sprintConfigStr": args, "suppress_load_seqs_print": True}
    d.update(sprint_opts)
    partition_epochs_opts = {
        "partition_epoch": epoch_split,
        "estimated_num_seqs": (num_seqs[data] // epoch_split) if data in num_seqs else None,
    }
    if hdf_files:
        align_opts = {
            "class": "HDFDataset", "files": hdf_files,
            "use_cache_manager": True,
            "seq_list_filter_file": files["segments"],
            }
        align_opts.update(partition_epochs_opts)
        if data == "train":
            align_opts["seq_ordering"] = "laplace:%i" % (num_seqs[data] // 10)
            align_opts["seq_order_seq_lens_file"] = "seq-lens.train.txt.gz"
        d = {
            "class": "MetaDataset",
            "datasets": {"sprint": d, "align": align_opts},
            "data_map": {"data": ("sprint", "data"), "alignment": ("align", "data")},
            "seq_order_control_dataset": "align",
        }
    else:
        d.update(partition_epochs_opts)
    return d

sprint_opts = {"input_stddev": 3.}
train = get_sprint_dataset("train")
dev = get_sprint_dataset("cv")
learning_rate = 0.001
batching = "random"
batch_size = 60
max_seqs = 200
_time_red = 2
_chunk_size = 6
chunking = ({
    "data": _chunk_size * _time_red,
    "alignment": _chunk_size,
    }, {
    "data": _chunk_size * _time_red // 2,
    "alignment": _chunk_size // 2,
    })
num_epochs = 2
accum_grad_multiple_step = 2
"""

# rwth-i6/returnn-experiments: 2018-attention/wmt2017deen/
# blocks-flstm.enc4l.pretrain.adam.lr1e_3.mseqs100.bs4000.tembi0.invfert.oeps1e_8.gradnoise0.seqsort1000
# .config
TRANSLATION = """#!rnn.py
import os
my_dir = os.path.dirname(os.path.abspath(__file__))
debug_mode = False
if int(os.environ.get("DEBUG", "0")):
    debug_mode = True
num_outputs = {'data': [8, 1], 'classes': [8, 1]}
num_inputs = num_outputs["data"][0]
num_seqs = {'train': 40, 'dev': 12}
EpochSplit = 2
SeqOrderTrainBins = num_seqs["train"] // 10
TrainSeqOrder = "laplace:%i" % SeqOrderTrainBins
if debug_mode:
    TrainSeqOrder = "default"

def get_dataset(data):
    epochSplit = {"train": EpochSplit}.get(data, 1)
    return {
        "class": "TranslationDataset",
        "path": "base/dataset",
        "file_postfix": data,
        "source_postfix": " </S>",
        "target_postfix": " </S>",
        "partition_epoch": epochSplit,
        "seq_ordering": {"train": TrainSeqOrder, "dev": "sorted"}.get(data, "default"),
        "estimated_num_seqs": (num_seqs.get(data, None) // epochSplit) if data in num_seqs else None}

train = get_dataset("train")
dev = get_dataset("dev")
test_data = get_dataset("test")
batching = "random"
batch_size = 40
max_seqs = 10
max_seq_length = 75
truncation = -1
num_epochs = 2
cleanup_old_models = True
pretrain = {"output_layers": ["encoder"], "repetitions": 5}
"""

# rwth-i6/returnn: demos/demo-task12ax.config
TASK_12AX = """# dataset
train Task12AXDataset:num_seqs=1000
dev Task12AXDataset:num_seqs=100
num_inputs 3
num_outputs 5

# model
hidden_size 10
hidden_type lstm_opt
bidirectional false
model /tmp/crnn-task12ax-network

# batching
batch_size 40
max_seqs 10
chunking 20:20

# optimization
num_epochs 2
adadelta true
learning_rate 1
"""

PUBLIC = {name.lower(): text for name, text in list(globals().items()) if name.isupper()}
