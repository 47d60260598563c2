"""What the epochs of a training consist of, and whether they are there: epochs of a corpus, or windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from seqmill.trainer.ahead import Ahead
from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.corpus import Corpus
from seqmill.trainer.options import TrainOptions
from seqmill.trainer.resume import Start, epoch_facts, why_not_inside
from seqmill.transforms.batches.manifest import Epoch


@dataclass(frozen=True)
class EpochData:
    """What an epoch of a training is trained on.

    Attributes:
        corpus: The corpus that holds it.
        stored: The number of the stored epoch there, from 1.
        window: The window's name, where the corpus is one of a stream.
    """

    corpus: Corpus
    stored: int
    window: str | None = None

    @property
    def planned(self) -> Epoch:
        """What its manifest says of it."""
        return self.corpus.epoch(self.stored)

    @property
    def facts(self) -> dict[str, Any]:
        """What a checkpoint inside the epoch remembers of it."""
        window = {} if self.window is None else {"window": self.window}
        return {**epoch_facts(self.corpus, self.stored), **window}


class Supply(Protocol):
    """What the epochs of a training consist of.

    Attributes:
        common: What all of them have in common: a corpus, which may have no epoch of its own.
        is_over: Whether there will be no more epochs, though more were asked for.
    """

    common: Corpus
    is_over: bool

    def watch(self, newest: Callable[[], int], must_end: Callable[[], bool]) -> None:
        """Heeds a training that has begun.

        Args:
            newest: function() → the last epoch behind whose end it has written a checkpoint, or 0.
            must_end: function() → whether it must end, and not wait.
        """
        ...

    def begin(self, start: Start) -> None:
        """Says where the training goes on."""
        ...

    def why_not_inside(self, inside: Checkpoint) -> str:
        """Why training cannot go on from a checkpoint inside an epoch, or nothing."""
        ...

    def any(self, is_needed: bool) -> EpochData | None:
        """Some epoch, whose batches are such as those that are trained on.

        Args:
            is_needed: Nothing else can take its place, so it is waited for.
        """
        ...

    def is_there(self, epoch: int) -> bool:
        """Whether the training would not have to wait for an epoch."""
        ...

    def wait_for(self, epoch: int) -> bool:
        """Waits for an epoch, all before it being trained; False where it does not come, or time is over."""
        ...

    def of(self, epoch: int) -> EpochData:
        """What an epoch consists of that has been waited for."""
        ...

    def close(self, is_over: bool = False) -> None:
        """The training ends; ``is_over``: and has come to its end."""
        ...


class PlannedEpochs:
    """The epochs of a corpus, as they were planned; they may be written beside the training."""

    is_over = False

    def __init__(self, corpus: Corpus, options: TrainOptions, say: Callable[[str], None]):
        options.check_stored(corpus.manifest.schedule)
        self.common = corpus
        self._options = options
        self._ahead = Ahead(corpus, options.epochs_ahead is not None and corpus.store is None, say)

    def watch(self, newest: Callable[[], int], must_end: Callable[[], bool]) -> None:
        """See ``Supply``; so for what follows."""
        self._ahead.watch(newest, must_end)

    def begin(self, start: Start) -> None:  # noqa: D102
        self._ahead.begin(start.epoch - 1)

    def why_not_inside(self, inside: Checkpoint) -> str:  # noqa: D102
        return why_not_inside(inside, self.of(inside.epoch).facts)

    def any(self, is_needed: bool) -> EpochData | None:
        """The next epoch where not all are there; without need none behind the last."""
        epoch = self._ahead.behind + 1 if self._ahead.is_on else 1
        if epoch > self._options.num_epochs:
            if not is_needed:
                return None
            epoch = self._options.num_epochs
        found = self.of(epoch)
        self._ahead.wait_for(found.stored)
        return found

    def is_there(self, epoch: int) -> bool:  # noqa: D102
        return (
            not self._ahead.is_on
            or epoch > self._options.num_epochs
            or self.common.is_complete(self.of(epoch).stored)
        )

    def wait_for(self, epoch: int) -> bool:  # noqa: D102
        self._ahead.need(epoch)
        return self._ahead.wait_for(self.of(epoch).stored)

    def of(self, epoch: int) -> EpochData:  # noqa: D102
        stored = self._options.stored_epoch(epoch, self.common.manifest.schedule)
        return EpochData(self.common, stored)

    def close(self, is_over: bool = False) -> None:  # noqa: D102
        self._ahead.close(is_over)
