"""What Beam's local runner must be kept from doing (Beam 2.77); applied once, before a run."""

from __future__ import annotations

from typing import Any

from apache_beam.runners.portability.fn_api_runner import worker_handlers


def mend_local_runner() -> None:
    """Applies all of it. Runs of other runners are not concerned."""
    _keep_streams_whole()
    _listen_on_loopback()


def _keep_streams_whole() -> None:
    """Keeps the runner from losing data.

    Its buffered streams to worker threads are flushed by a timer without a lock once they stay open for
    over a second, and elements vanish without an error. A negative limit turns the timer off; elements here
    are too small to need it.
    """
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = -1


def _listen_on_loopback() -> None:
    """Keeps the runner's servers from listening on every interface: what they are told, they execute.

    Beam gives no option; the name ``grpc`` in the one module that makes these servers is ours from now on.
    """
    if not isinstance(worker_handlers.grpc, _LoopbackGrpc):
        worker_handlers.grpc = _LoopbackGrpc(worker_handlers.grpc)


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
