"""Fetches a small speech corpus: 541 telephone prompts with their transcripts, from two Debian packages.

Needs a Debian or Ubuntu machine (``apt-get`` and ``dpkg-deb``; no root). Writes a NeMo speech manifest for
train and one for dev: one JSON object a line with ``audio_filepath``, ``text`` and ``duration``.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import soundfile

PACKAGES = ("asterisk-core-sounds-en", "asterisk-core-sounds-en-wav")
DEV_SHARE = 0.1


def main() -> None:
    """Fetches the packages unless they are there and writes ``train.jsonl`` and ``dev.jsonl``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to put the packages' content and the manifests")
    folder = parser.parse_args().folder
    content = folder / "packages"
    if content.exists():
        print(f"{content} is there already; not fetched again")
    else:
        fetch(folder, content)
    lines: dict[str, list[str]] = {"train": [], "dev": []}
    for record in prompts(content, folder):
        lines[side(record["audio_filepath"])].append(json.dumps(record) + "\n")
    for name, manifest in lines.items():
        (folder / f"{name}.jsonl").write_text("".join(manifest), encoding="utf-8")
        print(f"{folder / name}.jsonl: {len(manifest)} prompts")


def fetch(folder: Path, content: Path) -> None:
    """Downloads and unpacks the packages; ``content`` appears only when both are unpacked."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not here: the prompts come as Debian packages")
    folder.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"apt-get download failed (perhaps `apt-get update` must run first):\n{result.stderr}")
    unpacking = folder / "unpacking"
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, unpacking], check=True)
        package.unlink()
    unpacking.rename(content)


def prompts(content: Path, folder: Path) -> Iterator[dict]:
    """Every prompt that has both a recording and words in its transcript."""
    (transcripts,) = content.rglob("core-sounds-en.txt.gz")
    recordings = {path.stem: path for path in sorted(content.rglob("*.wav"))}
    by_path = {
        path.relative_to(path.parents[1]).with_suffix("").as_posix(): path for path in recordings.values()
    }
    with gzip.open(transcripts, "rt", encoding="utf-8") as lines:
        for line in lines:
            key, colon, text = line.partition(":")
            path = recordings.get(key) or by_path.get(key)
            if line.startswith(";") or not colon or path is None or "[" in text:
                continue
            if words := normalize(text):
                info = soundfile.info(path)
                yield {
                    "audio_filepath": path.relative_to(folder).as_posix(),
                    "text": words,
                    "duration": round(info.duration, 3),
                }


def normalize(text: str) -> str:
    """Lower-case letters, apostrophes and single spaces."""
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


def side(path: str) -> str:
    """``train`` or ``dev``, decided by the path alone."""
    digest = hashlib.sha256(path.encode()).digest()
    return "dev" if int.from_bytes(digest[:4]) < DEV_SHARE * 2**32 else "train"


if __name__ == "__main__":
    main()
