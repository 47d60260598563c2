"""Temporary names that tell who writes under them, so that what a killed process left can be removed."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import xxhash

TEMPORARY_PREFIX = ".tmp-"
SECONDS_LEFT = 86_400  # without a change, before another machine's temporary file counts as left


def temporary_beside(path: Path) -> Path:
    """A new name in the folder of ``path``, by which ``remove_left`` sees whose it is."""
    owner = f"{this_machine()}-{os.getpid()}"
    return path.with_name(f"{TEMPORARY_PREFIX}{owner}-{secrets.token_hex(4)}-{path.name}")


def remove_left(folder: Path) -> None:
    """Removes what interrupted writes have left in a folder and those below it.

    What a living process of this machine is writing stays, and what was left from elsewhere for a day.
    """
    for inner, _, names in os.walk(folder):
        for found in names:
            if found.startswith(TEMPORARY_PREFIX):
                leftover = Path(inner, found)
                with suppress(FileNotFoundError):
                    if _is_left(leftover):
                        leftover.unlink()


def remove_left_folders(folder: Path) -> None:
    """Removes folders with temporary names that processes which are gone have left in a folder."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*") if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if leftover.is_dir() and not leftover.is_symlink() and _is_left(leftover):
                shutil.rmtree(leftover)


def is_left(name: str, last_change: Callable[[], float]) -> bool:
    """Whether nobody writes under a temporary name any more.

    Args:
        name: It.
        last_change: function() → when what stands there has changed last, in seconds since 1970.
    """
    machine, _, rest = name.removeprefix(TEMPORARY_PREFIX).partition("-")
    process = rest.partition("-")[0]
    if machine != this_machine() or not process.isdigit():
        return time.time() - last_change() > SECONDS_LEFT
    return not is_running(int(process))


def is_running(process: int) -> bool:
    """Whether a process of this machine has not ended; one that nobody has waited for yet has."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):  # no process has a number so large
        return False
    except PermissionError:
        return True
    with suppress(OSError, IndexError):
        # Linux: the state follows the command's name, which stands in parentheses and may hold any character.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True


def _is_left(path: Path) -> bool:
    return is_left(path.name, lambda: path.lstat().st_mtime)


@cache
def this_machine() -> str:
    """Where process numbers mean the same: this machine since it was started, and this container of it."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return xxhash.xxh3_64_hexdigest("|".join(parts).encode())
