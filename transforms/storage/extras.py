"""Packages that only some types of data keys and some formats need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from seqmill.transforms.storage.errors import SeqmillError


def require(package: str, extra: str, wanted_by: str) -> Any:
    """Imports a package of an optional extra.

    Raises:
        SeqmillError: It is not installed; the message says what to install.
    """
    try:
        return import_module(package)
    except (ImportError, OSError) as error:
        raise SeqmillError(
            f"{wanted_by} needs the package {package}, which cannot be imported ({error}); "
            f"install it with: pip install 'seqmill[{extra}]'"
        ) from None
