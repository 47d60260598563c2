"""Sources as manifests name them: relative to the folder that holds all of a corpus' sources."""

from __future__ import annotations

from collections.abc import Iterable

from seqmill.transforms.storage import files


def common_folder(paths: Iterable[str]) -> str:
    """The folder that holds all of some files, at any depth; "" where they have none in common."""
    folders = [files.parent(path).split("/") for path in paths]
    shared = []
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared)


def relative_to(folder: str, path: str) -> str:
    """``path`` as it is found from ``folder``, which ``common_folder`` made."""
    inside = path.removeprefix(f"{folder}/") if folder else path
    return inside.lstrip("/") or files.name(path)
