"""Options of RETURNN in a configuration of seqmill get advice by meaning."""

import pytest

from seqmill.pipelines.beam_flags import check_beam_flags
from seqmill.pipelines.config import load_config
from seqmill.pipelines.options import Config
from seqmill.pipelines.returnn_names import _MEANINGS, meaning_of
from seqmill.transforms.storage.checked_options import option_fields
from seqmill.transforms.storage.errors import UsageError

CONFIG = """
output = "work"
batch_size = 10
[data.data]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["a.jsonl"]
"""


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("accum_grad_multiple_step = 2", "gradient_accumulation_steps of the optimizer"),
        ("gradient_clip_global_norm = 1.0", "global_clipnorm of the optimizer"),
        ("newbob_multi_num_epochs = 3", "patience of keras.callbacks.ReduceLROnPlateau"),
        ("random_seed = 3", "here: seed"),
        ("tf_log_memory_usage = true", "nothing to set"),
    ],
)
def test_advice_by_meaning(tmp_path, line, advice):
    (tmp_path / "config.toml").write_text(f"{line}\n{CONFIG}")
    with pytest.raises(UsageError) as error:
        load_config(f"{tmp_path}/config.toml")
    option = line.split()[0]
    assert f"{option}: unknown option, but one of RETURNN; here: " in str(error.value)
    assert advice in str(error.value)


def test_advice_in_a_corpus_and_for_a_flag(tmp_path):
    (tmp_path / "config.toml").write_text(f"{CONFIG}fixed_random_subset = 3\n")
    with pytest.raises(UsageError, match=r"corpus.train.fixed_random_subset: .*here: num_seqs in"):
        load_config(f"{tmp_path}/config.toml")
    with pytest.raises(UsageError, match=r"--gradient_clip: .*here: clipvalue of the optimizer"):
        check_beam_flags(["--gradient_clip=1"], [])


def test_what_seqmill_has_under_its_name_is_not_in_the_table():
    assert not set(option_fields(Config)) & set(_MEANINGS)
    assert meaning_of("bath_size") is None
