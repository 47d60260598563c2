"""One address for several worker pools, as a cluster's load balancer gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc


@contextmanager
def pools_in_turn(ports: Sequence[int]) -> Iterator[str]:
    """An address where workers are started by the pools at some ports, one after the other."""
    server = grpc.server(ThreadPoolExecutor(4))
    port = server.add_insecure_port("127.0.0.1:0")
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(_PoolsInTurn(ports), server)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0)


class _PoolsInTurn(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    def __init__(self, ports: Sequence[int]):
        self._turn = itertools.cycle(
            beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
            for port in ports
        )

    def StartWorker(self, request: Any, context: Any) -> Any:
        return next(self._turn).StartWorker(request)
