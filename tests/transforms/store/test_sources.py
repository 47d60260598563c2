from seqmill.transforms.readers import Split
from seqmill.transforms.store.sources import source_names


def test_a_file_that_is_listed_again_is_another_source():
    splits = [Split("jsonl", (("", f"/d/{name}"),), (0,), (None,), listing=n) for n, name in enumerate("aba")]
    assert source_names(splits) == ("a", "b", "a#2")
