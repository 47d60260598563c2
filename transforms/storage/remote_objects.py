"""Objects of S3 under a condition: as long as they have the ETag they had, which fsspec has no calls for."""

from __future__ import annotations

from typing import Any

from seqmill.transforms.storage.remote_calls import call, is_precondition, is_s3


class ChangedError(Exception):
    """An object is another than it was."""


def read(url: str) -> tuple[bytes, str | None]:
    """The whole of a file, and the tag of this version of it; None where its store has no such tags."""
    if is_s3(url):
        return call(url, lambda fs, path: _get(fs, path))
    return bytes(call(url, lambda fs, path: fs.cat_file(path))), None


def read_part(fs: Any, path: str, start: int, end: int, tag: str | None) -> bytes:
    """The bytes [start, end) of a file, fewer where it ends before.

    Args:
        fs: The file system, in a ``call``.
        path: The path there.
        start: The first byte.
        end: The byte behind the last.
        tag: Of the version that is meant, if it is known.

    Raises:
        ChangedError: It is another version by now.
        Exception: As the file system raises.
    """
    if tag is None:
        return bytes(fs.cat_file(path, start=start, end=end))
    try:
        return _get(fs, path, Range=f"bytes={start}-{end - 1}", IfMatch=tag)[0]
    except Exception as error:
        if not is_precondition(error):
            raise
        if fs.info(path)["ETag"] != tag:
            raise ChangedError from None
    return bytes(fs.cat_file(path, start=start, end=end))  # a server that has two tags for one version


def replace(url: str, content: bytes, tag: str | None) -> None:
    """Writes a file in place of a version of it; in place of any where ``tag`` is None.

    Raises:
        FileExistsError: It is another version by now.
        FileNotFoundError: There is none any more.
    """
    condition = {} if tag is None else {"IfMatch": tag}
    call(url, lambda fs, path: fs.pipe_file(path, content, **condition))


def _get(fs: Any, path: str, **more: str) -> tuple[bytes, str | None]:
    from fsspec.asyn import sync

    bucket, key, _ = fs.split_path(path)
    answer = fs.call_s3("get_object", Bucket=bucket, Key=key, **more)
    body = answer["Body"]
    try:
        return bytes(sync(fs.loop, body.read)), answer.get("ETag")
    finally:
        body.close()
