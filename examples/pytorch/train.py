"""Stored epochs in PyTorch: a ``DataLoader`` whose workers read them, and a small model trained on it.

    python examples/pytorch/train.py FOLDER [EPOCHS]

FOLDER is ``epochs/<corpus>`` as ``seqmill preprocess`` wrote it, with labels as data key ``classes``: the
model learns to say the next label of a sequence. On several hosts give ``StoredBatches``
``reader=(rank, world_size)``.
"""

import sys

import torch

import seqmill


class StoredBatches(torch.utils.data.IterableDataset):
    """The batches of a stored epoch as dicts of tensors, for ``DataLoader(…, batch_size=None)``.

    Workers take whole batches in turn, so the loader gives them in the epoch's order, each once.

    Args:
        corpus: From ``seqmill.open_corpus``.
        epoch: Number of the stored epoch, from 1.
        share: ``reader``, ``by`` and ``first_batch`` of ``seqmill.batches``. To go on in mid-epoch, the
            ``first_batch`` is the batches done: with ``by="rows"`` the first one here plus those trained on.
    """

    def __init__(self, corpus, epoch, **share):
        self.corpus, self.epoch, self.share = corpus, epoch, share

    def __len__(self):
        return len(seqmill.batches(self.corpus, self.epoch, **self.share))

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        worker = (info.id, info.num_workers) if info else (0, 1)
        for batch in seqmill.batches(self.corpus, self.epoch, worker=worker, **self.share):
            yield {name: torch.tensor(column) for name, column in batch.items()}


class NextLabel(torch.nn.Module):
    """A small recurrent model of the next label."""

    def __init__(self, num_labels, width=64):
        super().__init__()
        self.embedding = torch.nn.Embedding(num_labels, width)
        self.recurrent = torch.nn.GRU(width, width, batch_first=True)
        self.scores = torch.nn.Linear(width, num_labels)

    def forward(self, labels):
        """Scores [B, T, labels] of the label after each of ``labels`` [B, T]."""
        return self.scores(self.recurrent(self.embedding(labels))[0])


def losses(model, labels, lengths):
    """The sum of the losses of all labels but the first of each sequence, and how many they are."""
    labels = labels.long()
    found = torch.nn.functional.cross_entropy(
        model(labels[:, :-1]).transpose(1, 2), labels[:, 1:], reduction="none"
    )
    mask = torch.arange(1, labels.shape[1]) < lengths[:, None]
    return (found * mask).sum(), mask.sum()


def main(folder, epochs=3):
    """Trains and prints the loss of each epoch."""
    torch.manual_seed(1)
    corpus = seqmill.open_corpus(folder)
    model = NextLabel(corpus.manifest.data_keys["classes"].num_labels)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for epoch in range(1, epochs + 1):
        stored = (epoch - 1) % corpus.num_epochs + 1
        total = number = 0
        loader = torch.utils.data.DataLoader(StoredBatches(corpus, stored), batch_size=None, num_workers=2)
        for batch in loader:
            loss, labels = losses(model, batch["classes"], batch["classes_lengths"])
            optimizer.zero_grad()
            (loss / labels.clamp(min=1)).backward()
            optimizer.step()
            total, number = total + loss.item(), number + labels.item()
        print(f"epoch {epoch}: loss {total / number:.4f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
