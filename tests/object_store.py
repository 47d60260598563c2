"""A real S3 server for tests, and how a process finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import psutil
from seqmill_runs import tree
from servers import built_engine, server, wait_until_open

from seqmill.transforms.storage.locks import LOCK_FILE

KEY, SECRET = "seqmill", "seqmill-secret"
BUCKET = "bucket"


class ObjectStore:
    """A MinIO server behind a proxy, and a bucket in it.

    Attributes:
        url: The bucket, ``s3://bucket``; what is below it is a test's alone.
        proxy: Counts what goes to the server, and does to it what tests ask for.
        endpoint: URL of the proxy.
        folder: Where the server keeps its objects.
    """

    def __init__(self, port, proxy, endpoint, folder):
        self.port, self.proxy, self.endpoint, self.folder = port, proxy, endpoint, folder
        self.url = f"s3://{BUCKET}"

    @property
    def fs(self):
        """The server itself, not through the proxy."""
        return fsspec.filesystem(
            "s3",
            key=KEY,
            secret=SECRET,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            use_listings_cache=False,
        )

    def upload(self, folder):
        """Copies the files of a local folder to where the test may write. Returns its URL."""
        for path in sorted(folder.iterdir()):
            self.fs.pipe_file(f"{self.url}/in/{path.name}", path.read_bytes())
        return f"{self.url}/in"

    @staticmethod
    def local_tree(folder):
        """What ``tree`` gives, of a local folder."""
        return {name: content for name, content in tree(folder).items() if _is_result(name)}

    def tree(self, url):
        """Every object of an output with its content, but for who locked it."""
        top = url.removeprefix("s3://")
        names = [path.removeprefix(f"{top}/") for path in self.fs.find(top)]
        return {name: self.fs.cat_file(f"{top}/{name}") for name in names if _is_result(name)}


def _is_result(name):
    return not name.startswith("model/") and LOCK_FILE not in name


@contextmanager
def minio(folder: Path, port: int) -> Iterator[psutil.Process]:
    """Runs MinIO, with one bucket, for the length of a block; gives its process.

    Args:
        folder: Where it keeps its objects, below ``data``, and its log.
        port: Of 127.0.0.1, where it listens.
    """
    (folder / "data" / BUCKET).mkdir(parents=True, exist_ok=True)  # a bucket is a folder
    command = [built_engine("minio"), "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    settings = {"MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off"}
    with server([*command, folder / "data"], folder / "log", settings) as process:
        wait_until_open(port)
        yield process


def environment(endpoint: str, key: str = KEY, secret: str = SECRET) -> dict[str, str]:
    """Variables that lead a process to an object store."""
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }


def clear_clients() -> None:
    """Lets the next call read the settings of this process anew."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
