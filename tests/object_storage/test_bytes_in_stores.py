"""What is in an object store is what would be on a local disk, byte for byte."""


def test_output_in_an_object_store_is_that_of_a_local_disk(store, configured, expected, seqmill):
    config = configured(f"{store.url}/out")
    seqmill.succeeds("preprocess", config)
    assert store.tree(f"{store.url}/out") == expected
    assert "train: up to date" in seqmill.succeeds("preprocess", config).err
    seqmill.succeeds("verify", f"{store.url}/out")
