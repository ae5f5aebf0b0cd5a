"""The first transport: Arrow Flight over mutual TLS, a question an action.

`DoAction` and not a stream: a question then has a deadline of its own, nothing is left on a connection that
breaks, and the body is the one that goes over HTTPS.
"""

from __future__ import annotations

from typing import Any

import pyarrow.flight as fl

from jaxcpp.agents.border import AgentFault
from jaxcpp.remote.credentials import Credentials
from jaxcpp.remote.server import Answers, RefusedError

ACTION = "jaxcpp-agent"
"""The type of the one action there is; its body is a message."""


class FlightTransport:
    """Asks over one connection, opened with the first question.

    Args:
        address: HOST:PORT.
        credentials: ours; see `Credentials`.
        identity: the name that the vendor's certificate must be for; None = the host of the address.
        deadline: seconds that an answer may take.
    """

    def __init__(
        self, address: str, credentials: Credentials, identity: str | None = None, deadline: float = 30.0
    ) -> None:
        self._address, self._credentials = address, credentials
        self._identity, self._deadline = identity, deadline
        self._client: Any = None

    def call(self, body: bytes) -> bytes:
        """The answer to a question.

        Raises:
            AgentFault: late, unreachable, untrusted, refused or bad_message.
        """
        shown = (b"authorization", self._credentials.bearer.encode())
        options = fl.FlightCallOptions(timeout=self._deadline, headers=[shown])
        try:
            if self._client is None:
                self._client = self._connect()
            results = list(self._client.do_action(fl.Action(ACTION, body), options))
        except fl.FlightTimedOutError:
            raise AgentFault("late", f"no answer within {self._deadline:g} s") from None
        except (fl.FlightUnauthenticatedError, fl.FlightUnauthorizedError):
            raise AgentFault("refused", "it does not accept our token") from None
        except fl.FlightUnavailableError as error:
            raise _no_connection(error) from None
        except (fl.FlightError, OSError, ValueError, NotImplementedError) as error:
            raise AgentFault("refused", _words(error)) from None
        if len(results) != 1:
            raise AgentFault("bad_message", f"{len(results)} results to one question")
        return bytes(results[0].body)

    def close(self) -> None:
        """Give the connection back."""
        if self._client is not None:
            self._client.close()

    def _connect(self) -> Any:
        own = self._credentials
        return fl.FlightClient(
            f"grpc+tls://{self._address}", tls_root_certs=own.authority, cert_chain=own.certificate,
            private_key=own.key, override_hostname=self._identity,
        )  # fmt: skip


def _words(error: Exception) -> str:
    """What the other side said, without what gRPC adds to it."""
    return " ".join(str(error).split(". Detail:")[0].split())[:200]


def _no_connection(error: Exception) -> AgentFault:
    words = str(error).lower()
    if any(sign in words for sign in ("handshake", "certificate", "hostname", "peer name")):
        cause = "has expired" if "expired" in words else "is not one that we trust for this vendor"
        return AgentFault("untrusted", f"its certificate {cause}")
    return AgentFault("unreachable", "no connection, or it was lost")


class FlightAgent(fl.FlightServerBase):
    """Serves a vendor's answers to whoever has a certificate of the authority's, and the token.

    Args:
        answers: the vendor's.
        listen: HOST:PORT; port 0 takes a free one, which `port` then says.
        credentials: the vendor's own.
    """

    def __init__(self, answers: Answers, listen: str, credentials: Credentials) -> None:
        self._answers = answers
        super().__init__(
            f"grpc+tls://{listen}",
            tls_certificates=[(credentials.certificate, credentials.key)],
            verify_client=True,
            root_certificates=credentials.authority,
            middleware={"token": _Doorkeeper(credentials)},
        )

    def do_action(self, context: Any, action: Any) -> Any:  # noqa: ARG002  (Flight's own signature)
        """Answer one question."""
        if action.type != ACTION:
            raise fl.FlightServerError(f"the only action is {ACTION}")
        try:
            return iter([fl.Result(self._answers.answer(bytes(action.body)))])
        except RefusedError as error:
            raise fl.FlightServerError(str(error)) from None


class _Doorkeeper(fl.ServerMiddlewareFactory):
    """Lets nobody in without the token."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def start_call(self, info: Any, headers: dict[str, list[Any]]) -> None:  # noqa: ARG002
        """Look at what the caller shows."""
        shown = next(iter(headers.get("authorization", [])), "")
        if not self._credentials.admits(shown if isinstance(shown, str) else ""):
            raise fl.FlightUnauthenticatedError("the token is not the one of this agent")
