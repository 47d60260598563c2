"""Addresses of servers: whether somebody listens there."""

from __future__ import annotations

import ipaddress
import socket

from seqmill.transforms.storage.errors import SeqmillError

_SECONDS = 10.0


def check_listens(flag: str, address: str, what: str) -> None:
    """Raises SeqmillError, within seconds, where nobody listens at the address that a flag gives.

    Args:
        flag: The flag's name.
        address: ``HOST:PORT``, or ``tcp://HOST:PORT``.
        what: What should listen there.
    """
    if (why := unreachable(address)) is not None:
        raise SeqmillError(f"--{flag}={address}: no {what} can be reached there ({why})")


def unreachable(address: str, seconds: float = _SECONDS) -> str | None:
    """Why nobody can be reached at an address; None where somebody listens.

    >>> from seqmill.pipelines.endpoints import unreachable
    >>> unreachable("nonsense")
    'not HOST:PORT'
    """
    try:
        host, port = _parts(address)
    except ValueError:
        return "not HOST:PORT"
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except TimeoutError:
        return f"no answer within {seconds:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    return None


def is_this_machine(address: str) -> bool:
    """Whether an address is of the loopback interface.

    >>> from seqmill.pipelines.endpoints import is_this_machine
    >>> is_this_machine("localhost:8099"), is_this_machine("10.0.0.1:8099")
    (True, False)
    """
    try:
        host, _ = _parts(address)
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(address: str) -> tuple[str, int]:
    """Host and port. Raises ValueError."""
    _, _, rest = address.rpartition("://")
    host, colon, port = rest.rstrip("/").rpartition(":")
    if not colon or not host:
        raise ValueError(address)
    return host.strip("[]"), int(port)
