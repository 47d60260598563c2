import socket
from types import SimpleNamespace

import pytest
from aiohttp import ClientConnectorError

from seqmill.transforms.storage import remote_calls
from seqmill.transforms.storage.remote_calls import RemoteError

URL = "https://example.invalid/a.wav"
KEY = SimpleNamespace(host="example.invalid", port=443, is_ssl=True, ssl=True)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(socket.EAI_NONAME, FileNotFoundError), (socket.EAI_AGAIN, RemoteError)],
    ids=["there is no such name", "nobody could tell"],
)
def test_only_a_name_that_means_nothing_is_no_file(number, expected):
    """Where names cannot be looked up for a while, no record may be taken for one without its file."""

    def ask(fs, path):
        raise ClientConnectorError(KEY, socket.gaierror(number, "as the resolver says"))

    with remote_calls.impatient(), pytest.raises(expected):
        remote_calls.call(URL, ask)
