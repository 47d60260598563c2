"""What options of RETURNN mean here: one table, for unknown options and for ``seqmill import-returnn``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """Where the counterpart of an option is."""

    OPTION = "seqmill has it under another name or elsewhere"
    MODEL = "it belongs to the Keras model"
    NOTHING = "there is nothing like it"


class Meaning(NamedTuple):
    """The counterpart of an option of RETURNN, as what follows "here: "."""

    kind: Kind
    advice: str


def meaning_of(name: str) -> Meaning | None:
    """The counterpart of an option of RETURNN that seqmill does not have under its name.

    >>> meaning_of("accum_grad_multiple_step").advice
    'gradient_accumulation_steps of the optimizer in the model file'
    >>> meaning_of("bath_size")
    """
    if name in _MEANINGS:
        return _MEANINGS[name]
    return next((meaning for prefix, meaning in _BY_PREFIX.items() if name.startswith(prefix)), None)


def is_of_datasets(name: str) -> bool:
    """Whether a name means something in the table of a dataset alone."""
    return name in _OF_DATASETS


def with_advice(where: Sequence[str], text: str) -> str:
    """What is wrong with an option, by meaning where it is unknown and RETURNN has it.

    >>> with_advice(("corpus", "train", "random_seed"), "unknown option; did you mean random?")
    'unknown option, but one of RETURNN; here: seed'
    """
    meaning = meaning_of(where[-1]) if where and text.startswith("unknown option") else None
    return f"unknown option, but one of RETURNN; here: {meaning.advice}" if meaning else text


def _options(**advice: str) -> dict[str, Meaning]:
    return {name: Meaning(Kind.OPTION, text) for name, text in advice.items()}


def _model(*names: str, advice: str) -> dict[str, Meaning]:
    return dict.fromkeys(names, Meaning(Kind.MODEL, advice))


def _nothing(*names: str, advice: str) -> dict[str, Meaning]:
    return dict.fromkeys(names, Meaning(Kind.NOTHING, advice))


_PLATEAU = "keras.callbacks.ReduceLROnPlateau in callbacks() of the model file"
_SUBWORDS = 'type = "subwords" of a data key, with tokenizer = FILE'

_OF_DATASETS = _options(
    datasets="[corpus.NAME.join] for keys of other files, joined by tag",
    data_map="field of each data key, and data_keys of [corpus.NAME.join]",
    seq_order_control_dataset="the order is that of the files of [corpus.NAME] itself, not of its joins",
    fixed_random_subset="num_seqs in [corpus.NAME]",
    seq_list_filter_file="only_tags in [corpus.NAME]",
    segment_file="only_tags in [corpus.NAME]",
    partitionEpoch="partition_epoch in [corpus.train]",
    repeat_epoch="the files several times in files of [corpus.NAME]",
    epoch_wise_filter="[[schedule]] with max_seq_length for some epochs",
    targets="type (chars, words, subwords, bytes) and vocab of a data key",
    orth_vocab="type (chars, words, subwords) and vocab of a data key",
    orth_symbols_file="vocab of a data key",
    orth_symbols_map_file="vocab of a data key",
    vocab_file="vocab of a data key",
    bpe=_SUBWORDS,
    bpe_file=_SUBWORDS,
    unknown_label="unk of a data key",
    unknown_symbol="unk of a data key",
    seq_postfix="eos of a data key",
    seq_end_symbol="eos of a data key",
    audio='type = "audio", "log_mel" or "mfcc" of a data key',
    features='type = "audio", "log_mel" or "mfcc" of a data key',
    num_feature_filters="num_mel_bins, of mfcc num_ceps",
    window_len="window of a data key",
    step_len="hop of a data key",
    norm_mean="normalization = { mean = FILE, stddev = FILE } of a data key",
    norm_std_dev="normalization = { mean = FILE, stddev = FILE } of a data key",
    corpus_file="files of [corpus.NAME]",
    seq_order_seq_lens_file="length_key; the lengths are those of the data",
)
"""Of the tables of datasets, not of a config."""
_MEANINGS: dict[str, Meaning] = {
    **_OF_DATASETS,
    **_options(
        random_seed="seed",
        train="[corpus.train] with format and files",
        dev="[corpus.dev] with format and files",
        eval="[corpus.eval] with format and files",
        eval_datasets="a table [corpus.NAME] for each, with format and files",
        extern_data="a table [data.KEY] with its type for each",
        num_inputs="[data.data] with its type",
        num_outputs="a table [data.KEY] with its type for each",
        target="the data keys; which one is the target says the model file",
        batch_size_train="batch_size in [corpus.train]",
        batch_size_dev="batch_size in [corpus.dev]",
        packed_tensors="packed = true",
        packed_batch_size="batch_size with packed = true",
        keep_last_n="cleanup_old_models = { keep_last_n = N }",
        keep_best_n="cleanup_old_models = { keep_best_n = N }",
        load="init_from",
        load_epoch="start_epoch, the epoch behind the loaded one",
        import_model_train_epoch1="init_from",
        preload_from_files="init_from",
        torch_distributed='devices = "all"',
        use_horovod='devices = "all"',
        device="devices",
        forward_data="seqmill predict",
        search_data="seqmill predict",
        task="the command: seqmill run, train, predict, export",
    ),
    **_model(
        "accum_grad_multiple_step", advice="gradient_accumulation_steps of the optimizer in the model file"
    ),
    **_model(
        "update_batch_size",
        advice="gradient_accumulation_steps of the optimizer in the model file, in batches, not frames",
    ),
    **_model("gradient_clip", advice="clipvalue of the optimizer in the model file"),
    **_model("gradient_clip_norm", advice="clipnorm of the optimizer in the model file"),
    **_model(
        "gradient_clip_avg_norm", advice="clipnorm of the optimizer in the model file, which is no average"
    ),
    **_model("gradient_clip_global_norm", advice="global_clipnorm of the optimizer in the model file"),
    **_model("gradient_noise", advice="a train_step of the model that adds it; Keras has no option for it"),
    **_model("weight_decay", advice="weight_decay of the optimizer in the model file"),
    **_model("optimizer_epsilon", advice="epsilon of the optimizer in the model file"),
    **_model("momentum", "nesterov_momentum", advice="momentum and nesterov of keras.optimizers.SGD"),
    **_model("optimizer", advice="the optimizer that the model file compiles the model with"),
    **_model("learning_rate", advice="learning_rate of the optimizer in the model file"),
    **_model(
        "learning_rates",
        "dynamic_learning_rate",
        "learning_rate_warmup_steps",
        advice="a schedule as the optimizer's learning_rate, or keras.callbacks.LearningRateScheduler",
    ),
    **_model("learning_rate_control", advice=_PLATEAU),
    **_model("newbob_learning_rate_decay", "learning_rate_decay", advice=f"factor of {_PLATEAU}"),
    **_model("newbob_relative_error_threshold", "newbob_error_threshold", advice=f"min_delta of {_PLATEAU}"),
    **_model("newbob_multi_num_epochs", advice=f"patience of {_PLATEAU}"),
    **_model("learning_rate_control_error_measure", advice=f"monitor of {_PLATEAU}"),
    **_model("learning_rate_control_min_num_epochs_per_new_lr", advice=f"cooldown of {_PLATEAU}"),
    **_model("min_learning_rate", advice=f"min_lr of {_PLATEAU}"),
    **_model(
        "network",
        "get_network",
        "get_model",
        "train_step",
        "forward_step",
        "model_outputs",
        "search_output_layer",
        advice='model = "FILE.py:FUNCTION", a function that returns the compiled Keras model',
    ),
    **_model(
        "pretrain", "pretrain_repetitions", "pretrain_construction_algo", advice="a callback, or init_from"
    ),
    **_model("loss", "loss_opts", "calculate_exp_loss", advice="loss and metrics of model.compile"),
    **_model("L2", "L1", advice="kernel_regularizer of the layers"),
    **_model("dropout", advice="keras.layers.Dropout"),
    **_model("ema_decay", advice="use_ema and ema_momentum of the optimizer in the model file"),
    **_model(
        "torch_amp",
        "torch_amp_options",
        "use_mixed_precision",
        advice="keras.mixed_precision in the model file",
    ),
    **_model(
        *("input_stddev", "random_permute", "transform", "with_delta", "join_frames"),
        advice="a layer of the model",
    ),
    **_model(
        *("adam", "nadam", "adamw", "adadelta", "adagrad", "rmsprop", "sgd", "adamax"),
        advice="the optimizer that the model file compiles the model with",
    ),
    **_nothing(
        *("cache_size", "cache_byte_size", "use_cache_manager", "estimated_num_seqs", "file_cache_opts"),
        *("multiprocessing", "torch_dataloader_opts", "dataset_distribution"),
        advice="nothing to set; sequences lie in a store on disk, which is mapped",
    ),
    **_nothing(
        *("log", "log_verbosity", "log_batch_size", "learning_rate_file", "debug_mode"),
        *("tf_log_memory_usage", "debug_print_layer_output_template", "extern_data_template"),
        advice="nothing to set; scores, rates and times are in the model folder",
    ),
    **_nothing(
        "backend",
        "use_tensorflow",
        advice="nothing to set; KERAS_BACKEND in the environment chooses the backend",
    ),
    **_nothing(
        *("behavior_version", "update_on_device", "truncation", "reinit", "use_learning_rate_control_always"),
        advice="nothing to set",
    ),
    **_nothing(
        *("window", "context_window"),
        advice="no counterpart; chunks that overlap, or a layer of the model that sees its neighbours",
    ),
    **_nothing(
        *(
            "chunking_variance",
            "shuffle_frames_of_nseqs",
            "online_shuffle_batches",
            "seq_drop",
            "seq_drop_freq",
        ),
        *("inc_seq_length", "random_seed_offset", "unique_seq_tags"),
        advice="no counterpart",
    ),
    **_options(
        chunk_eval="chunking in [corpus.dev]",
        on_size_limit="chunking or max_seq_length in [corpus.dev]",
    ),
}
_BY_PREFIX = {
    "newbob_": Meaning(Kind.MODEL, _PLATEAU),
    "learning_rate_control_": Meaning(Kind.MODEL, _PLATEAU),
    "gradient_": Meaning(Kind.MODEL, "the optimizer in the model file, or a train_step of the model"),
    "optimizer_": Meaning(Kind.MODEL, "the optimizer in the model file"),
    "search_": Meaning(Kind.OPTION, "seqmill predict"),
    "tf_": Meaning(Kind.NOTHING, "no counterpart"),
    "torch_": Meaning(Kind.NOTHING, "no counterpart"),
    "debug_": Meaning(Kind.NOTHING, "no counterpart"),
}
