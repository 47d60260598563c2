"""Finding the written corpora in a folder that a user names."""

from __future__ import annotations

from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError


def corpus_folders(path: str) -> list[str]:
    """Folders of epochs in an output folder, in its ``epochs`` folder, or the folder itself.

    Raises:
        SeqmillError: There is no such folder, or nothing was written into it.
    """
    if not files.exists(path):
        raise SeqmillError(f"{path}: no such folder")
    if files.exists(output_folder.manifest_path(path)):
        return [path]
    folder = path if files.name(path) == "epochs" else output_folder.all_epochs_folder(path)
    corpora = [files.join(folder, name) for name in files.list_names(folder)]
    corpora = [corpus for corpus in corpora if files.is_folder(corpus)]
    if corpora:
        return corpora
    raise SeqmillError(
        f"{path}: no {output_folder.MANIFEST_NAME}: incomplete, or no batches at all "
        "(run `seqmill preprocess`)"
    )


def output_of(path: str) -> str | None:
    """The output folder that holds what a user names for ``corpus_folders``; None where that is not sure."""
    for folder in (path, files.parent(path), files.parent(files.parent(path))):
        if folder != "/" and files.is_folder(output_folder.all_epochs_folder(folder)):
            return folder
    return None
