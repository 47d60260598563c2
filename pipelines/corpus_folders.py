"""Finding the written corpora in a folder that a user names."""

from __future__ import annotations

from seqmill.transforms.batches.stream import is_stream, windows
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError, UsageError


def corpus_folders(path: str) -> list[str]:
    """Folders of epochs in an output folder, in its ``epochs`` folder, or the folder itself.

    In place of a stream its windows.

    Raises:
        UsageError: There is no such folder, or it is part of a corpus' folder.
        SeqmillError: Nothing was written into it.
    """
    if not files.exists(path):
        raise UsageError(f"{path}: no such folder")
    if not files.is_folder(path):
        raise UsageError(f"{path}: is a file, expected an output folder or epochs/<corpus> in one")
    if any(files.exists(output_folder.lengths_path(folder)) for folder in (path, *_folders_in(path))):
        raise UsageError(f"{path}: is a store, expected an output folder or epochs/<corpus> in one")
    in_corpus = files.exists(output_folder.manifest_path(files.parent(path)))
    if files.exists(output_folder.manifest_path(path)) and not in_corpus:
        return [path]
    folder = path if files.name(path) == "epochs" else output_folder.all_epochs_folder(path)
    if is_stream(path):
        return _windows_of(path)
    if corpora := _folders_in(folder):
        streams = {corpus: _windows_of(corpus) for corpus in corpora if is_stream(corpus)}
        return [one for corpus in corpora for one in streams.get(corpus, [corpus])]
    if in_corpus:
        raise UsageError(f"{path}: is part of a corpus' folder; expected the whole, {files.parent(path)}")
    if files.is_folder(output_folder.all_stores_folder(path)):
        raise SeqmillError(f"{path}: nothing preprocessed yet (run `seqmill preprocess`)")
    raise SeqmillError(
        f"{path}: no {output_folder.MANIFEST_NAME}: incomplete, or no batches at all "
        "(run `seqmill preprocess`)"
    )


def _folders_in(folder: str) -> list[str]:
    inside = (files.join(folder, name) for name in files.list_names(folder))
    return [path for path in inside if files.is_folder(path)]


def corpus_name(folder: str) -> str:
    """The corpus that a folder of epochs is named after: by its own name, or that of its stream."""
    return files.name(files.parent(folder) if is_stream(files.parent(folder)) else folder)


def _windows_of(stream: str) -> list[str]:
    return [files.join(stream, name) for name in windows(stream)]


def output_of(path: str) -> str | None:
    """The output folder that holds what a user names for ``corpus_folders``; None where that is not sure."""
    for folder in (path, files.parent(path), files.parent(files.parent(path))):
        if folder != "/" and files.is_folder(output_folder.all_epochs_folder(folder)):
            return folder
    return None
