"""The second transport: HTTPS, for vendors behind a gateway; a question is a POST, with the same messages."""

from __future__ import annotations

import ssl
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions as broken

from jaxcpp.agents.border import AgentFault
from jaxcpp.remote.credentials import Credentials
from jaxcpp.remote.messages import LARGEST
from jaxcpp.remote.server import Answers, RefusedError

PATH: Final = "/jaxcpp-agent"
KIND: Final = "application/vnd.apache.arrow.stream"
PATIENCE: Final = 60.0
"""Seconds that the vendor's end waits for a caller that says nothing."""
PIECE: Final = 1 << 20


class HttpsTransport:
    """Asks over a few kept connections.

    Args:
        address: https://HOST:PORT, with a path where it is not `PATH`.
        credentials: ours.
        identity: the name that the vendor's certificate must be for; None = the host of the address.
        deadline: seconds that an answer may take.
    """

    def __init__(
        self, address: str, credentials: Credentials, identity: str | None = None, deadline: float = 30.0
    ) -> None:
        url = urlsplit(address)
        host = url.hostname or ""
        self._path, self._deadline, self._bearer = url.path or PATH, deadline, credentials.bearer
        self._pool = urllib3.HTTPSConnectionPool(
            host, url.port, ssl_context=credentials.context(serving=False), server_hostname=identity or host,
            timeout=urllib3.Timeout(total=deadline), retries=False,
        )  # fmt: skip

    def call(self, body: bytes) -> bytes:
        """The answer to a question.

        Raises:
            AgentFault: late, unreachable, untrusted, refused or bad_message.
        """
        due = time.monotonic() + self._deadline
        headers = {"authorization": self._bearer, "content-type": KIND}
        try:
            answer = self._pool.urlopen(
                "POST", self._path, body=body, headers=headers, redirect=False, preload_content=False
            )
            text = self._read(answer, due)
        except broken.SSLError as error:
            words = str(error)
            cause = "has expired" if "expired" in words else "is not one that we trust for this vendor"
            raise AgentFault("untrusted", f"its certificate {cause}, or ours is not for it") from None
        except broken.ConnectTimeoutError:
            raise AgentFault("unreachable", "no connection") from None
        except broken.TimeoutError:
            raise self._late() from None
        except (broken.HTTPError, OSError):
            raise AgentFault("unreachable", "no connection, or it was lost") from None
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise AgentFault("refused", "it does not accept our token")
        if answer.status != HTTPStatus.OK:
            words = " ".join(text.decode(errors="replace").split())[:200]
            raise AgentFault("refused", words or f"it answers with status {answer.status}")
        return text

    def _read(self, answer: Any, due: float) -> bytes:
        """All of an answer, a piece at a time: one that trickles is late, however it trickles."""
        pieces, size = [], 0
        for piece in answer.stream(PIECE):
            size += len(piece)
            pieces.append(piece)
            if time.monotonic() > due:
                answer.close()
                raise self._late()
            if size > LARGEST:
                answer.close()
                raise AgentFault("bad_message", f"an answer of more than {LARGEST:,} bytes")
        answer.release_conn()
        return b"".join(pieces)

    def _late(self) -> AgentFault:
        return AgentFault("late", f"no answer within {self._deadline:g} s")


class HttpsAgent:
    """Serves a vendor's answers to whoever has a certificate of the authority's, and the token.

    Args:
        answers: the vendor's.
        listen: HOST:PORT; port 0 takes a free one, which `port` then says.
        credentials: the vendor's own.
    """

    def __init__(self, answers: Answers, listen: str, credentials: Credentials) -> None:
        host, _, port = listen.rpartition(":")
        handler = type("Handler", (_Handler,), {"answers": answers, "credentials": credentials})
        self._server = _Server((host, int(port)), handler)
        self._server.context = credentials.context(serving=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def shutdown(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands on the caller's own thread: one that does not is nobody else's matter."""
        request.settimeout(PATIENCE)
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that goes away, or is not let in, is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "jaxcpp-agent", ""
    timeout = PATIENCE
    disable_nagle_algorithm = True
    wbufsize = PIECE
    answers: Answers
    credentials: Credentials

    def do_POST(self) -> None:
        """Answer one question."""
        length = self.headers.get("content-length", "")
        if not self.credentials.admits(self.headers.get("authorization", "")):
            self._send(HTTPStatus.UNAUTHORIZED, b"the token is not the one of this agent", last=True)
        elif not length.isdecimal() or int(length) > LARGEST:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"no length, or too large a one", last=True)
        else:
            body = self.rfile.read(int(length))
            try:
                self._send(HTTPStatus.OK, self.answers.answer(body))
            except RefusedError as error:
                self._send(HTTPStatus.BAD_REQUEST, str(error).encode())

    def _send(self, status: HTTPStatus, body: bytes, *, last: bool = False) -> None:
        self.send_response(status)
        self.send_header("content-type", KIND if status == HTTPStatus.OK else "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        if last:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: what is refused is in the log of `server`."""
