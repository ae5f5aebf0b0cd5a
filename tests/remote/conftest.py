"""An authority, vendors behind agents on loopback, and the retailer's fleet without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from jaxcpp.fleet.vendors import Frame, Opened
from jaxcpp.remote.client import RemoteVendor
from jaxcpp.remote.flight import FlightAgent, FlightTransport
from jaxcpp.remote.https import HttpsAgent, HttpsTransport
from jaxcpp.remote.server import Answers
from tests.remote.certificates import Authority

DEADLINE = 5.0

Serve = Callable[..., Any]

TRANSPORTS = {
    "flight": (FlightAgent, lambda port: f"127.0.0.1:{port}", FlightTransport),
    "https": (HttpsAgent, lambda port: f"https://127.0.0.1:{port}", HttpsTransport),
}


class Plain:
    """A vendor without JAX: one source for each product, of which each unit earns the same at a node."""

    EARNS = (13.0, 17.0)
    CAPACITY = 80.0

    def open(self, frame: Frame) -> Opened:
        self.frame, self.questions = frame, 0
        return Opened(self, frame.known)

    def best_plan(self, price: Any) -> tuple[Any, Any]:
        self.questions += 1
        earns = np.repeat(np.resize(self.EARNS, self.frame.width), self.frame.weeks)
        plan = np.zeros_like(price)
        for week in range(self.frame.weeks):
            here = np.arange(week, price.shape[1], self.frame.weeks)
            left = np.where(self.frame.known, (earns - price)[:, here], -np.inf)
            best = here[np.argmax(left, axis=1)]
            plan[np.arange(len(price)), best] = self.CAPACITY * (np.max(left, axis=1) > 0.0)
        return plan, np.sum(plan * earns, axis=1)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("an authority")


@pytest.fixture(params=TRANSPORTS)
def wire(request: pytest.FixtureRequest) -> Any:
    """One of the transports: its agent, how it writes a port on loopback, and the coordinator's end."""
    return TRANSPORTS[request.param]


@pytest.fixture
def connect(wire: Any) -> Callable[..., Any]:
    """The coordinator's end of a transport to a port on loopback."""

    def to(port: int, ours: Any, identity: str = "hops", deadline: float = DEADLINE) -> Any:
        _, address, transport = wire
        return transport(address(port), ours, identity=identity, deadline=deadline)

    return to


@pytest.fixture
def serve(authority: Authority, wire: Any) -> Iterator[Serve]:
    """Puts answers on loopback until the test is over."""
    running: list[Any] = []

    def start(answers: Any, credentials: Any = None) -> Any:
        own = authority.credentials("hops") if credentials is None else credentials
        agent = wire[0](answers, "127.0.0.1:0", own)
        running.append(agent)
        return agent

    yield start
    for agent in running:
        agent.shutdown()


@pytest.fixture
def remote(authority: Authority, serve: Serve, connect: Any) -> Callable[..., RemoteVendor]:
    """A vendor behind an agent, as the coordinator sees it."""

    def start(vendor: Any, vendor_id: str = "hops", deadline: float = DEADLINE, **ours: Any) -> RemoteVendor:
        agent = serve(vendor if isinstance(vendor, Answers) else Answers(vendor_id, vendor))
        own = authority.credentials("coordinator", **ours)
        return RemoteVendor(vendor_id, connect(agent.port, own, deadline=deadline))

    return start
