"""Everything at once, killed again and again: every record that was given is trained on once."""

import helper_processes
import pytest
from stream_soak import Soak


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "every"),
    [
        (5, {"producer": 2.0, "watch": 1.5, "training": 2.0}),
        pytest.param(600, {"producer": 10, "watch": 8, "training": 12}, marks=pytest.mark.long),
    ],
)
def test_every_record_is_trained_on_once_whatever_is_killed(helpers, tmp_path, seconds, every):
    def start_training(arguments):
        process = helpers.Process(target=helper_processes.run_command, args=(arguments,))
        process.start()
        return process

    soak = Soak(tmp_path, start_training, pause=0.1, interval=0.05)
    figures = soak.run(seconds, every, quiet_share=0.1)
    print(figures)
    assert figures.windows and all(figures.kills.values())
    assert (figures.lost, figures.twice) == (0, 0)
