"""An object store on loopback."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
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
