"""Names of objects: patterns mean what they mean on a disk; odd, similar and many names do no harm."""

import pytest

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

NAMES = ["a b.j", "a%20b.j", "a+b.j", "ü.j", "a#b.j", "a[1].j", "a*b.j", "a'b&c=d.j", 'a"b<c>|.j', "日.j"]
PATTERNS = ["*.j", "a*.j", "**/*.j", "*/*.j", "a[[]1].j", "a[1].j", "a?b.j", "[!a]*.j", ".*.j", "sub/*", "*"]


def found(folder, pattern):
    return [path.removeprefix(f"{folder}/") for path in files.expand(f"{folder}/{pattern}")]


def test_patterns_find_what_they_find_on_a_disk(store, tmp_path):
    names = [*NAMES, ".hidden.j", "sub/x.j", "sub/.y.j", "sub.old/x.j", ".sub/x.j"]
    for name in names:
        for top in (str(tmp_path), store.url):
            with files.write_atomically(f"{top}/{name}") as file:
                file.write(name.encode())
        assert files.read_bytes(f"{store.url}/{name}") == name.encode()
        assert found(store.url, name) == [name]
    store.proxy.reset()
    for pattern in PATTERNS:
        assert found(store.url, pattern) == found(str(tmp_path), pattern), pattern
    assert store.proxy.counts().total() <= len(PATTERNS) + 4  # one listing each, and is "sub", say, a folder
    assert files.list_names(store.url) == files.list_names(str(tmp_path))
    with pytest.raises(SeqmillError, match="names with '\\?versionId=' in them cannot be opened"):
        files.exists(f"{store.url}/a?versionId=1")


def test_a_folder_is_not_another_whose_name_begins_alike(store):
    for name in ("g2p/x", "g2p/y/z", "g2p2/x", "g2p.old"):
        store.fs.pipe_file(f"{store.url}/{name}", b"1")
    with files.remembering(f"{store.url}/g2p"):
        assert files.list_names(f"{store.url}/g2p") == ["x", "y"] and files.exists(f"{store.url}/g2p2/x")
    assert not files.exists(f"{store.url}/g2") and not files.list_names(f"{store.url}/g2")
    files.remove(f"{store.url}/g2")
    files.remove(f"{store.url}/g2p")
    assert files.list_names(store.url) == ["g2p.old", "g2p2"]


def test_removing_a_folder_removes_no_other_that_its_name_would_match(store):
    store.fs.pipe({f"{store.url}/{folder}/{n}": b"" for folder in ("o[1]", "o1", "o*") for n in range(9)})
    files.remove(f"{store.url}/o[1]")
    assert files.list_names(store.url) == ["o*", "o1"] and len(files.list_names(f"{store.url}/o1")) == 9


@pytest.mark.long
def test_more_names_than_a_listing_has(store):
    store.fs.pipe({f"{store.url}/in/{number:04d}/x": b"" for number in range(1001)})
    assert len(files.list_names(f"{store.url}/in")) == len(found(store.url, "in/*/x")) == 1001
    files.remove(f"{store.url}/in")
    assert not files.list_names(store.url)


def test_output_in_a_folder_of_an_odd_name(store, configured, expected, seqmill):
    output = f"{store.url}/o ü%41+#"
    seqmill.succeeds("preprocess", configured(output))
    assert store.tree(output) == expected
    assert "train: up to date" in seqmill.succeeds("preprocess", configured(output)).err
