"""A local S3 server for tests, and a bucket on it."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import s3fs
from moto.server import ThreadedMotoServer

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def running_bucket() -> Iterator[str]:
    """The URL of an empty bucket; the environment leads every S3 client of this process to the server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (SETTINGS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
                patch.setenv(name, value)
            name = f"kinfolk-{uuid.uuid4().hex}"
            files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
            files.call_s3("create_bucket", Bucket=name)
            # one client for all workspaces of this process: each new one costs a good part of a second
            patch.setattr("store.objects._s3", lambda: files)
            yield f"s3://{name}"
    finally:
        server.stop()
