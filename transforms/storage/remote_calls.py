"""Calls of file systems behind URLs: which one it is, tries again for a while, errors of one line.

fsspec brings the file systems. What they remember of listings is switched off, and their own repetitions,
too: what is tried again, and for how long, is said here for all of them. ``SEQMILL_REMOTE_SECONDS`` is the
time that a call may take in all its attempts (default 60).
"""

from __future__ import annotations

import errno
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from seqmill.transforms.storage.errors import SeqmillError, UsageError

MOST_ATTEMPTS = 10
MOST_REQUESTS = 16  # of a process at once
DEFAULT_SECONDS = 60

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 8.0  # seconds between attempts
_CONNECT_SECONDS, _READ_SECONDS = 5, 20  # that one attempt may wait for a server
_LINE = 300  # characters of a cause that are shown
_S3, _VERSION = ("s3", "s3a"), "?versionId="
# Schemes of object stores: they have no folders to make, and one request tells all that is below a name.
OBJECT_STORES = (*_S3, "gs", "gcs", "abfs", "abfss", "az", "adl")
# What is worth another attempt although the request was understood: damage on the way, and too much at once.
_PASSING_CODES = {
    *("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "Throttling"),
    "ConditionalRequestConflict",
    *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"),
}
_PASSING_STATUS = (408, 425, 429)
_SKEWED = "RequestTimeTooSkewed"
_MOST_SKEW = timedelta(minutes=15)  # that Amazon and MinIO allow between their clock and that of a request
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError")
_NETWORK_MODULES = ("botocore", "aiobotocore", "aiohttp", "fsspec", "gcsfs", "adlfs", "azure", "requests")
_WANTED_CREDENTIALS = {
    **dict.fromkeys(
        _S3,
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile that may do this, or FSSPEC_S3_ANON=true "
        "for what is public",
    ),
    **dict.fromkeys(("gs", "gcs"), "GOOGLE_APPLICATION_CREDENTIALS that may do this"),
}

_Result = TypeVar("_Result")

_is_impatient: ContextVar[bool] = ContextVar("impatient", default=False)
_guards: dict[str, Callable[[], None]] = {}
_slots = threading.BoundedSemaphore(MOST_REQUESTS)


class RemoteError(OSError):
    """A remote file cannot be read or written: ``filename`` is its URL, ``strerror`` why, in one line.

    Attributes:
        cause: What the last attempt met, where there were several.
    """

    cause: str | None = None


class TransferError(Exception):
    """What arrived is not what was asked for; the next attempt may be better."""


def scheme(url: str) -> str:
    """What stands before ``://``."""
    return urlsplit(url).scheme


def is_s3(url: str) -> bool:
    """Whether a URL is of a store that speaks S3."""
    return scheme(url) in _S3


def is_object_store(url: str) -> bool:
    """Whether a URL is of an object store, where folders are nothing but the beginnings of names."""
    return scheme(url) in OBJECT_STORES


def filesystem(url: str) -> tuple[Any, str]:
    """The file system that a URL is on, and the path there. Raises SeqmillError where there is none here."""
    import fsspec  # which local files do not need

    options: dict[str, Any] = {"use_listings_cache": False}
    if is_s3(url):
        if _VERSION in url:  # s3fs would read, or write, another object
            raise SeqmillError(f"{url}: names with {_VERSION!r} in them cannot be opened; rename it")
        given = fsspec.config.conf.get("s3", {})
        options["max_concurrency"] = 1
        options["config_kwargs"] = {
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "max_pool_connections": 2 * MOST_REQUESTS,
            "retries": {"total_max_attempts": 1},
            **given.get("config_kwargs", {}),
        }
    try:
        found, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise SeqmillError(f"{url}: cannot open {scheme(url)}:// paths here ({error})") from None
    if is_s3(url):
        found.retries = 1
    return found, path


def call(url: str, work: Callable[[Any, str], _Result]) -> _Result:
    """What ``work`` returns, tried again while it fails in a way that may pass.

    Args:
        url: What it is about.
        work: function(file system, path) → anything; may be called several times.

    Raises:
        FileNotFoundError: There is no such file.
        FileExistsError: There is one, and must not be, or another than must be.
        SeqmillError: What ``guarded`` says of its folder.
        RemoteError: It failed for good, or for too long.
    """
    fs, path = filesystem(url)
    start, seconds, pause = time.monotonic(), _seconds(), _FIRST_PAUSE
    for attempt in range(1, MOST_ATTEMPTS + 1):
        try:
            _check_guards(url)
            with _slots:
                return work(fs, path)
        except Exception as error:
            if (refusal := _refusal(url, error)) is not None:
                raise refusal from None
            passed = time.monotonic() - start
            if attempt == MOST_ATTEMPTS or _is_impatient.get() or passed + pause > seconds:
                tried = "once" if attempt == 1 else f"{attempt} times in {passed:.0f} s"
                given_up = RemoteError(
                    errno.EIO, f"{_text(error)}; tried {tried}, expected the server to answer", url
                )
                given_up.cause = _text(error)
                raise given_up from None
        time.sleep(pause * random.uniform(0.75, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE)
    raise AssertionError


@contextmanager
def impatient() -> Iterator[None]:
    """Lets calls in a block fail at their first failure."""
    token = _is_impatient.set(True)
    try:
        yield
    finally:
        _is_impatient.reset(token)


@contextmanager
def guarded(lock: str, check: Callable[[], None]) -> Iterator[None]:
    """Calls ``check`` before every call in a block that is about a file's folder, but not about the file.

    Args:
        lock: The URL of the file.
        check: function(): raises SeqmillError where nobody here may go on in that folder.
    """
    _guards[lock] = check
    try:
        yield
    finally:
        _guards.pop(lock, None)


def _check_guards(url: str) -> None:
    for lock, check in [*_guards.items()]:
        if url != lock and f"{url}/".startswith(f"{lock.rpartition('/')[0]}/"):
            check()


def _seconds() -> float:
    given = os.environ.get("SEQMILL_REMOTE_SECONDS") or str(DEFAULT_SECONDS)
    if not given.isascii() or not given.isdigit():
        raise UsageError(f"SEQMILL_REMOTE_SECONDS: found {given!r}; expected a number of seconds")
    return float(given)


def _refusal(url: str, error: Exception) -> Exception | None:
    """What to raise of an error that another attempt would not mend; None of one that may pass."""
    code, status = _response(error)
    if isinstance(error, SeqmillError):
        return error
    if scheme(url) in ("http", "https") and _has_no_host(error):
        return FileNotFoundError(errno.ENOENT, "there is no such host", url)
    if code == "NoSuchBucket":
        bucket = urlsplit(url).netloc
        return RemoteError(
            errno.ENODEV, f"there is no bucket {bucket!r}; expected one that exists, none is made here", url
        )
    if isinstance(error, FileNotFoundError):
        cause = error.__cause__
        if isinstance(cause, Exception) and _is_of_network(cause) and status not in (404, 410):
            return _refusal(url, cause)  # the server could not be asked
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
    if isinstance(error, FileExistsError) or is_precondition(error):
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), url)
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return type(error)(error.errno or errno.EISDIR, error.strerror or "a folder stands there", url)
    if type(error).__name__ in _NO_CREDENTIALS:
        return RemoteError(
            errno.EACCES, f"no credentials ({_text(error)}); expected {_wanted_credentials(url)}", url
        )
    if isinstance(error, PermissionError) or status in (401, 403):
        if (skew := _skew(error)) is not None:
            return RemoteError(errno.EACCES, skew, url)
        return RemoteError(
            errno.EACCES,
            f"access refused ({_operation(error)}{_text(error)}); expected {_wanted_credentials(url)}",
            url,
        )
    if code in _PASSING_CODES or status in _PASSING_STATUS or ((status or 0) >= 500 and status != 501):
        return None
    if status is not None and status >= 400:
        return RemoteError(errno.EINVAL, f"refused ({_operation(error)}{_text(error)})", url)
    if isinstance(error, OSError | TransferError) or _is_of_network(error):
        return None
    if isinstance(error, ValueError):
        return RemoteError(errno.EINVAL, _text(error), url)
    return error


def is_precondition(error: BaseException) -> bool:
    """Whether a server did nothing, as what is there is not what a request was for."""
    code, status = _response(error)
    return status == 412 or code == "PreconditionFailed"


def _response(error: BaseException) -> tuple[str, int | None]:
    """The code and the HTTP status with which a server answered, as far as an error tells."""
    for one in _chain(error):
        answer = getattr(one, "response", None)
        if isinstance(answer, dict):
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return str(answer.get("Error", {}).get("Code", "")), status
        if isinstance(status := getattr(one, "status", None), int):
            return "", status
    return "", None


def _chain(error: BaseException) -> tuple[BaseException | None, ...]:
    return error, error.__cause__, error.__context__


def _operation(error: BaseException) -> str:
    """What was asked of a server ("PutObject: "), as far as an error tells."""
    return next((f"{name}: " for one in _chain(error) if (name := getattr(one, "operation_name", ""))), "")


def _skew(error: BaseException) -> str | None:
    """How far this machine's clock and a server's are apart, if that is why it refused.

    The answer to a HEAD request has no body that could say so, but the server's time.
    """
    is_said = _response(error)[0] == _SKEWED
    for one in _chain(error):
        answer = getattr(one, "response", None)
        if not isinstance(answer, dict):
            continue
        with suppress(ValueError, TypeError, KeyError):
            theirs = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            own = datetime.now(UTC)
            if is_said or abs(own - theirs) > _MOST_SKEW:
                return (
                    f"the server's clock says {theirs:%Y-%m-%d %H:%M:%S} UTC, this machine's "
                    f"{own:%Y-%m-%d %H:%M:%S}; expected at most 15 minutes between them: set the one that "
                    "is wrong"
                )
    return f"{_text(error)}; expected the time of the server's clock" if is_said else None


def _has_no_host(error: BaseException) -> bool:
    """Whether a server's name means nothing, as aiohttp says; not that nobody could tell."""
    cause = getattr(error, "os_error", None)
    return isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME


def _is_of_network(error: Exception) -> bool:
    """Whether a library that talks to servers raised an error, and not because of what it was given."""
    return any(
        kind.__module__.partition(".")[0] in _NETWORK_MODULES and kind.__name__ != "ParamValidationError"
        for kind in type(error).__mro__
    )


def _wanted_credentials(url: str) -> str:
    return _WANTED_CREDENTIALS.get(scheme(url), "credentials that may do this")


def _text(error: BaseException) -> str:
    """An error in one line, with the server's own code for it."""
    code, _ = _response(error)
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    if code and not code.isdigit() and code not in text:
        text = f"{code}: {text}"
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"


def _begin_anew() -> None:
    """In a forked process: slots of the parent's threads are never given back, and its locks not renewed."""
    global _slots
    _slots = threading.BoundedSemaphore(MOST_REQUESTS)
    _guards.clear()


os.register_at_fork(after_in_child=_begin_anew)
