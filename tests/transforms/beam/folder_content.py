"""What a pipeline has left in a folder."""

from pathlib import Path


def content(folder: Path) -> dict[str, bytes]:
    """Every file but receipts."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "receipts" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
