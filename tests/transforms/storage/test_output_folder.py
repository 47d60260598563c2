import pytest

from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError


@pytest.mark.parametrize("corpus", ["../x", "..", "", "/etc", "a/../../b"])
def test_the_store_of_a_manifest_is_in_its_output(corpus):
    assert output_folder.store_beside("out/epochs/train", "train") == "out/store/train"
    with pytest.raises(SeqmillError, match="out/epochs/train: the manifest names the corpus"):
        output_folder.store_beside("out/epochs/train", corpus)
