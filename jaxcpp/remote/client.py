"""The coordinator's end: a remote vendor as one more plain Python object that answers for a batch."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jaxcpp.agents.border import ANSWERS, AgentFault
from jaxcpp.agents.outside import KINDS, Offer
from jaxcpp.fleet.vendors import Frame, Mask, Opened
from jaxcpp.remote import messages
from jaxcpp.remote.messages import OPEN, QUESTIONS, Columns, Header


class Transport(Protocol):
    """Carries one question to a vendor and its answer back, within a deadline."""

    def call(self, body: bytes) -> bytes:
        """The answer to a question. Raises `AgentFault` where there is none."""
        ...


class RemoteVendor:
    """One vendor at the other end of a transport."""

    def __init__(self, vendor_id: str, transport: Transport) -> None:
        self.vendor_id, self._transport = vendor_id, transport

    def open(self, frame: Frame) -> Opened:
        """Tell the vendor which contracts are planned; it says what it answers, and which nodes it reaches.

        Raises:
            AgentFault: no connection, no trust, a refusal, or an answer that is none.
        """
        session = _Session(self.vendor_id, self._transport)
        ids = list(frame.contract_ids)
        columns: Columns = {
            "contract_id": ids,
            "product_id": list(frame.product_ids),
            "inbound_ids": [list(nodes) for nodes in frame.inbound_ids],
            "most": frame.most,
        }
        facts = {
            "weeks": str(frame.weeks), "currency": frame.currency, "first_week": frame.first_week,
        }  # fmt: skip
        table, said = session.ask(OPEN, columns, facts)
        reached = messages.unpack(table["reached"], frame.known, "reached")
        methods = [name for name in said.get("methods", "").split(",") if name in QUESTIONS]
        if not any(method in methods for _, method in KINDS.values()):
            raise AgentFault("bad_message", "open names none of best_response, best_plan, value_and_gradient")
        return Opened(RemoteAgent(session, ids, reached, frame.weeks, methods), reached)


class RemoteAgent:
    """Has exactly the methods that the vendor offers; see `jaxcpp.agents.outside`.

    A contract whose question is the same as the last one of its kind is not asked about again: only what
    is still moving crosses the wire.
    """

    def __init__(
        self, session: _Session, contract_ids: list[str], reached: Mask, weeks: int, methods: list[str]
    ) -> None:
        self._session = session
        self._ids = np.asarray(contract_ids, object)
        self._open = np.repeat(reached, weeks, axis=1)
        self._asked: dict[str, tuple[NDArray[Any], ...]] = {}
        self._answered: dict[str, tuple[NDArray[Any], ...]] = {}
        for method in methods:
            # Own attributes, so that a protocol's check sees just what this vendor offers.
            asks = self._decide if method == "decide" else partial(self._call, method)
            setattr(self, method, asks)

    def _decide(self, offer: Offer) -> NDArray[Any]:
        """Offers without a price are no offers, and do not cross."""
        parts = (offer.plan, offer.order, offer.price)
        answer: NDArray[Any] = self._ask("decide", parts, np.isfinite(offer.price))
        return answer

    def _call(self, method: str, *values: NDArray[Any], **named: NDArray[Any]) -> Any:
        names = [part.name for part in QUESTIONS[method]]
        given = {**dict(zip(names, values, strict=False)), **named}
        return self._ask(method, tuple(given[name] for name in names))

    def _ask(self, method: str, parts: tuple[NDArray[Any], ...], where: Mask | None = None) -> Any:
        moved = self._moved(method, parts)
        lanes = np.flatnonzero(moved if where is None else moved & where)
        if len(lanes):
            kept = self._answered.get(method) or self._nothing(method)
            answer = self._exchange(method, parts, lanes)
            for into, part in zip(kept, answer, strict=True):
                into[lanes] = part
            self._answered[method] = kept
        self._asked[method] = tuple(part.copy() for part in parts)
        answered = tuple(part.copy() for part in self._answered.get(method) or self._nothing(method))
        return answered if len(answered) > 1 else answered[0]

    def _moved(self, method: str, parts: tuple[NDArray[Any], ...]) -> Mask:
        """Contracts whose question is another than the last one."""
        before = self._asked.get(method)
        moved = np.full(len(self._ids), before is None)
        for new, old in zip(parts, before or (), strict=False):
            differs = (new != old) & ~(np.isnan(new) & np.isnan(old))
            moved |= differs.reshape(len(new), -1).any(axis=1)
        return moved

    def _nothing(self, method: str) -> tuple[NDArray[Any], ...]:
        return tuple(np.zeros(part.shape(*self._open.shape)) for part in ANSWERS[method])

    def _exchange(
        self, method: str, parts: tuple[NDArray[Any], ...], lanes: NDArray[np.intp]
    ) -> list[NDArray[Any]]:
        """One question about some contracts, and its answer."""
        open_, columns = self._open[lanes], {"contract_id": self._ids[lanes].tolist()}
        for part, values in zip(QUESTIONS[method], parts, strict=True):
            columns[part.name] = messages.pack(values[lanes], open_) if part.by_node else values[lanes]
        table, _ = self._session.ask(method, columns)
        return [
            messages.unpack(table[part.name], messages.entries(part, open_), part.name)
            if part.by_node
            else table[part.name].to_numpy().astype(np.float64)
            for part in ANSWERS[method]
        ]


class _Session:
    """Numbers questions, and takes only the answer that belongs to the question just asked."""

    def __init__(self, vendor_id: str, transport: Transport) -> None:
        self._vendor_id, self._transport = vendor_id, transport
        self._session, self._sequence = secrets.token_hex(16), 0

    def ask(
        self, method: str, columns: Columns, facts: dict[str, str] | None = None
    ) -> tuple[pa.Table, dict[str, str]]:
        """Rows and metadata of the answer, which is for the contracts asked about, in their order."""
        asked = Header(method, self._vendor_id, self._session, self._sequence, secrets.token_hex(16))
        self._sequence += 1
        body = self._transport.call(messages.encode(asked, "question", columns, facts))
        header, table, said = messages.decode(body, "answer")
        if header.vendor_id != self._vendor_id:
            raise AgentFault("untrusted", f"it answers as vendor {header.vendor_id[:80]!r}")
        if header != asked:
            raise AgentFault(
                "replayed", f"an answer to {header.method} {header.sequence}, not {method} {asked.sequence}"
            )
        if table["contract_id"].to_pylist() != columns["contract_id"]:
            raise AgentFault(
                "wrong_rows",
                f"{table.num_rows} contracts answered, not the {len(columns['contract_id'])} asked",
            )
        return table, said
