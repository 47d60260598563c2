"""Configs of RETURNN as RETURNN has them: executed, with its own orders, chunks and batches."""

from __future__ import annotations

import sys

import numpy as np
from returnn.config import Config
from returnn.datasets.basic import Dataset, init_dataset, init_dataset_via_str
from returnn.datasets.generating import StaticDataset
from returnn_corpus import returnn_permutes_like_seqmill


class TheirConfig:
    """A config as RETURNN reads it, which executes it, and its batches of our sequences."""

    def __init__(self, path, lengths, length_key):
        self.config = Config()
        self.config.load_file(str(path))
        self.lengths, self.length_key = lengths, length_key

    def dataset(self, corpus, epoch):
        """As ``returnn.__main__.load_data`` makes it, but for the class, so that its lengths are ours."""
        defaults = {"train": Dataset.get_default_kwargs_train, "dev": Dataset.get_default_kwargs_eval}
        options = defaults[corpus](config=self.config)
        given = self.config.typed_value(corpus) or {}
        given = given if isinstance(given, dict) else {}
        if given.get("class") == "MetaDataset":
            given = {"seq_ordering": "default", **given["datasets"][given["seq_order_control_dataset"]]}
        options |= {k: given[k] for k in ("seq_ordering", "fixed_random_seed") if k in given}
        options["partition_epoch"] = given.get("partition_epoch", given.get("partitionEpoch"))
        Dataset.kwargs_update_from_config(self.config, options)
        rows = zip(*(column.tolist() for column in self.lengths.values()), strict=True)
        data = [{key: np.arange(n) for key, n in zip(self.lengths, row, strict=True)} for row in rows]
        dataset = StaticDataset(data=data, output_dim=dict.fromkeys(self.lengths, (1, 1)), **options)
        order = dataset.get_seq_order_for_epoch(
            epoch, len(data), lambda row: int(self.lengths[self.length_key][row])
        )
        dataset.init_seq_order(epoch=epoch, seq_order=[int(row) for row in order])
        return dataset

    def tensorflow_batches(self, corpus, epoch):
        """As ``returnn.tf.engine`` has them."""
        dataset = self.dataset(corpus, epoch)
        order = dataset.get_current_seq_order()
        size = self.config.typed_value("batch_size") if self.config.is_typed("batch_size") else None
        batches = dataset._generate_batches(
            recurrent_net=True,
            batch_size=int(self.config.value("batch_size", 1)) if size is None else size or sys.maxsize,
            max_seqs=self.config.int("max_seqs", -1),
            max_seq_length=self.config.typed_value("max_seq_length", None) or sys.maxsize,
        )
        return [
            [
                self._entry(order[part.seq_idx], part.seq_start_frame, part.seq_end_frame)
                for part in batch.seqs
            ]
            for batch in batches
        ]

    def _entry(self, row, start, end):
        frames = {key: int(end[key]) - int(start[key]) for key in self.lengths}
        return int(row), int(start[self.length_key]), frames

    def torch_batches(self, corpus, epoch, pipeline):
        """As ``returnn.torch.engine`` has them."""
        dataset = self.dataset(corpus, epoch)
        order = dataset.get_current_seq_order()
        pipe = [{**dataset.data[row], "seq_idx": np.array(row)} for row in order]
        pipe = piped(self.config, pipe, corpus, pipeline)
        return [
            [
                (int(one["seq_idx"]), int(one[self.length_key][0]), {k: len(one[k]) for k in self.lengths})
                for one in batch
            ]
            for batch in pipe
        ]


class TheirDatasets:
    """A config as RETURNN reads it, with its own data sets, and their batches with values."""

    def __init__(self, path, keys):
        self.config = Config()
        self.config.load_file(str(path))
        self.keys = list(keys)

    def tensorflow_batches(self, corpus, epoch):
        """As ``returnn.tf.engine`` has them: per entry its tag, first frames and values of each key."""
        sequences = self._sequences(corpus, epoch)
        batches = self._dataset(corpus, epoch)._generate_batches(
            recurrent_net=True,
            batch_size=self.config.typed_value("batch_size"),
            max_seqs=self.config.int("max_seqs", -1),
            max_seq_length=self.config.typed_value("max_seq_length", None) or sys.maxsize,
        )
        return [[self._entry(sequences[part.seq_idx], part) for part in batch.seqs] for batch in batches]

    def _entry(self, sequence, part):
        tag, values = sequence
        starts, ends = part.seq_start_frame, part.seq_end_frame
        return tag, {key: values[key][int(starts[key]) : int(ends[key])] for key in self.keys}

    def torch_batches(self, corpus, epoch, pipeline):
        """As ``returnn.torch.engine`` has them."""
        pipe = [
            {**values, "seq_tag": np.array(tag, dtype=object)}
            for tag, values in self._sequences(corpus, epoch)
        ]
        pipe = piped(self.config, pipe, corpus, pipeline)
        return [[(str(one["seq_tag"]), {k: one[k] for k in self.keys}) for one in batch] for batch in pipe]

    def _sequences(self, corpus, epoch):
        """An epoch's sequences in their order: tags and values."""
        dataset, sequences = self._dataset(corpus, epoch), []
        while dataset.is_less_than_num_seqs(len(sequences)):
            number = len(sequences)
            dataset.load_seqs(number, number + 1)
            values = {key: _flat(dataset.get_data(number, key)) for key in self.keys}
            sequences.append((dataset.get_tag(number), values))
        return sequences

    def _dataset(self, corpus, epoch):
        """The data set at the start of an epoch, as ``returnn.__main__.load_data`` makes it."""
        defaults = {"train": Dataset.get_default_kwargs_train, "dev": Dataset.get_default_kwargs_eval}
        options, given = defaults[corpus](config=self.config), self.config.typed_value(corpus)
        with returnn_permutes_like_seqmill(run_seed=1):
            if isinstance(given, str):
                dataset = init_dataset_via_str(given, config=self.config, **options)
            else:
                options |= given
                Dataset.kwargs_update_from_config(self.config, options)
                dataset = init_dataset(options)
            dataset.init_seq_order(epoch=epoch)
        return dataset


def _flat(values):
    """Samples as they are here: without an axis of length 1."""
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def piped(config, sequences, corpus, pipeline):
    """The batches of sequences as ``returnn.torch.engine`` makes them."""
    pipe, is_train = sequences, corpus == "train"
    if (longest := config.typed_value("max_seq_length", None)) is not None:
        pipe = pipeline.LenFilterDataPipe(pipe, max_seq_length=longest)
    if (chunking := config.typed_value("chunking", None)) and is_train:
        pipe = pipeline.ChunkingIterDataPipe(pipe, chunking)
    return pipeline.get_batching_iterable_dataset_from_config(dataset=pipe, config=config, train=is_train)
