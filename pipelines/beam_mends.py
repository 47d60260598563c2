"""What Beam must be kept from doing on this machine (Beam 2.77); applied before a run."""

from __future__ import annotations

from typing import Any

from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker import worker_pool_main


def mend_local_runner() -> None:
    """Keeps Beam's local runner from losing data, and its ports from others."""
    _keep_streams_whole()
    _listen_on_loopback(worker_handlers)


def mend_loopback_workers() -> None:
    """Keeps the port of workers in the command's own process (``LOOPBACK``) from others."""
    _listen_on_loopback(worker_pool_main)


def _keep_streams_whole() -> None:
    """Keeps the runner from losing data.

    Its buffered streams to worker threads are flushed by a timer without a lock once they stay open for
    over a second, and elements vanish without an error. A negative limit turns the timer off; elements here
    are too small to need it.
    """
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = -1


def _listen_on_loopback(module: Any) -> None:
    """Keeps servers from listening on every interface: what they are told, they execute.

    Beam gives no option; the name ``grpc`` in a module that makes these servers is ours from now on.
    """
    if not isinstance(module.grpc, _LoopbackGrpc):
        module.grpc = _LoopbackGrpc(module.grpc)


class _LoopbackGrpc:
    """``grpc``, but for servers, which listen on loopback only."""

    def __init__(self, grpc: Any):
        self._grpc = grpc

    def server(self, *arguments: Any, **options: Any) -> Any:
        server = self._grpc.server(*arguments, **options)
        bind = server.add_insecure_port
        server.add_insecure_port = lambda address: bind(address.replace("[::]", "127.0.0.1"))
        return server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grpc, name)
