"""Object stores on loopback."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

KEY, SECRET = "somebody", "nobody-may-see-this"


class Store(NamedTuple):
    """moto's S3, with one empty bucket; it writes down every request."""

    port: int
    log: Path

    def address(self, path: str) -> str:
        """Where `path` lies in the bucket."""
        given = f"endpoint_override=127.0.0.1:{self.port}&scheme=http&region=eu-west-1"
        return f"s3://{KEY}:{SECRET}@bucket/{path}?{given}"

    def ask(self, method: str, path: str, body: bytes = b"") -> None:
        """A request past pyarrow."""
        address = f"http://127.0.0.1:{self.port}/{path}"
        asked = urllib.request.Request(address, body, {"content-type": "text/plain"}, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            answer.read()

    def written(self) -> list[str]:
        """The keys of the bucket in the order in which they were put, by whomever and however often."""
        lines = self.log.read_text(encoding="utf-8")
        return [key for key in re.findall(r'"(?:PUT|POST) /bucket/(\S+?)(?:\?\S*)? HTTP', lines) if key]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    if any(importlib.util.find_spec(name) is None for name in ("moto", "flask_cors")):
        pytest.skip("needs moto's S3 server, of the extra `test`")
    log = tmp_path_factory.mktemp("store") / "log"
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as sink:
        server = subprocess.Popen(
            command, stdout=sink, stderr=sink, env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"}
        )
    try:
        port = None
        while port is None:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            port = re.search(r"Running on http://127\.0\.0\.1:(\d+)", log.read_text(encoding="utf-8"))
        made = Store(int(port[1]), log)
        made.ask("PUT", "bucket")
        yield made
    finally:
        server.terminate()
        server.wait(30)


class Google(NamedTuple):
    """Google's storage by its emulator, with one empty bucket."""

    port: int

    def address(self, path: str) -> str:
        """Where `path` lies in the bucket."""
        given = f"endpoint_override=127.0.0.1:{self.port}&scheme=http&retry_limit_seconds=5"
        return f"gs://anonymous@bucket/{path}?{given}"


SERVE = """
import sys
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="bucket").run()
"""


@pytest.fixture(scope="module")
def google():
    if importlib.util.find_spec("gcp_storage_emulator") is None:
        pytest.skip("needs gcp-storage-emulator, of the extra `test`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", SERVE, str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert server.poll() is None, "the emulator has ended"
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Google(port)
    finally:
        server.terminate()
        server.wait(30)
