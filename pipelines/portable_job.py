"""A job on a job server: Prism, Flink, Spark, and whatever else speaks Beam's job API."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import grpc
from apache_beam.portability.api import beam_job_api_pb2 as job_api
from apache_beam.portability.api import beam_job_api_pb2_grpc as job_services
from apache_beam.runners.portability import portable_runner

from seqmill.pipelines.beam_job import Absence
from seqmill.transforms.storage.errors import SeqmillError

_ANSWER_SECONDS = 5.0
_LAST_WORDS_SECONDS = 3.0  # the reason of a failure may come after the news of it
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_CANCELLED = (job_api.JobState.CANCELLED, job_api.JobState.CANCELLING)


def is_portable(result: Any) -> bool:
    """Whether a runner's result is a job on a job server that is reached through a port."""
    return isinstance(result, portable_runner.PipelineResult) and isinstance(
        result._job_service, job_services.JobServiceStub
    )


class PortableJob:
    """See ``beam_job.Job``.

    Asks for the state again and again: the streams that Beam waits on end after ``job_server_timeout``, and
    not at all where the server has vanished behind a network.
    """

    def __init__(self, result: portable_runner.PipelineResult, address: str):
        self._result = result
        self._server: Any = result._job_service
        self._id: str = result._job_id
        self._absence = Absence("the job server", address)
        self._error = ""
        self._is_read = threading.Thread(target=self._read_messages, daemon=True)
        self._is_read.start()

    def name(self) -> str:  # noqa: D102
        return f"job {self._id}"

    def is_over(self) -> bool:  # noqa: D102
        try:
            state = self._state()
        except grpc.RpcError as error:
            if error.code() not in _AWAY:
                raise SeqmillError(f"the job server does not know {self.name()} any more") from None
            self._absence.goes_on(_why(error))
            return False
        self._absence.ends()
        if state in (job_api.JobState.DONE, job_api.JobState.DRAINED):
            self._result._cleanup()
            return True
        if state == job_api.JobState.FAILED:
            self._is_read.join(_LAST_WORDS_SECONDS)
            raise RuntimeError(self._error or f"{self.name()} failed; the job server does not say why")
        if state in _CANCELLED:
            raise SeqmillError(f"{self.name()} was cancelled on the job server")
        return False

    def cancel(self) -> None:  # noqa: D102
        try:
            if self._state() not in portable_runner.TERMINAL_STATES:
                self._server.Cancel(job_api.CancelJobRequest(job_id=self._id), timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise ConnectionError(_why(error)) from None
        finally:
            with contextlib.suppress(Exception):
                self._result._cleanup()

    def _state(self) -> int:
        request = job_api.GetJobStateRequest(job_id=self._id)
        return int(self._server.GetState(request, timeout=_ANSWER_SECONDS).state)

    def _read_messages(self) -> None:
        """Keeps the last error that the server tells of."""
        request = job_api.JobMessagesRequest(job_id=self._id)
        with contextlib.suppress(grpc.RpcError):
            for message in self._server.GetMessageStream(request):
                said = message.message_response
                if said.importance == job_api.JobMessage.JOB_MESSAGE_ERROR and said.message_text:
                    self._error = said.message_text


def _why(error: grpc.RpcError) -> str:
    """The end of gRPC's long story."""
    return (error.details() or error.code().name).rpartition(": ")[2]
