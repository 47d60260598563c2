"""Sources as manifests name them: relative to the folder that holds all of a corpus' sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from seqmill.transforms.readers import Split
from seqmill.transforms.storage import files


def source_names(splits: Sequence[Split]) -> tuple[str, ...]:
    """Of every split its source as manifests, rejects and default tags name it.

    A file that is listed a second time is another source: ``a.jsonl#2``.
    """
    folder = common_folder(split.source for split in splits)
    names: dict[int, str] = {}
    times: Counter[str] = Counter()
    for split in splits:
        if split.listing not in names:
            name = relative_to(folder, split.source)
            times[name] += 1
            names[split.listing] = name if times[name] == 1 else f"{name}#{times[name]}"
    return tuple(names[split.listing] for split in splits)


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
