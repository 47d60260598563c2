import io

from seqmill.trainer.callbacks.step_progress import StepProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def through_an_epoch(stream, seconds_per_batch):
    lines, now = [], [0.0]
    steps = StepProgress(lines.append, stream, lambda: now[0])
    steps.begin("epoch 3, train", 100)
    for batch in range(100):
        now[0] += seconds_per_batch
        steps.on_train_batch_end(batch, {"loss": 1 / (batch + 1)})
    steps.end()
    return lines


def test_a_line_a_minute_where_there_is_no_terminal():
    lines = through_an_epoch(io.StringIO(), 3.0)
    assert len(lines) == 5
    assert lines[1] == "epoch 3, train: 40/100 batches  loss 0.025  3:00 to go"


def test_on_a_terminal_one_line_in_place():
    terminal = Terminal()
    assert through_an_epoch(terminal, 0.125) == []
    shown = terminal.getvalue().split("\r\x1b[K")
    assert len(shown) == 1 + 25 + 1 and shown[-1] == "" and "\n" not in terminal.getvalue()
    assert shown[1].startswith("epoch 3, train: 4/100 batches  loss 0.25  0:12 to go")


def test_a_short_epoch_says_nothing():
    stream = io.StringIO()
    assert through_an_epoch(stream, 0.1) == [] and stream.getvalue() == ""
