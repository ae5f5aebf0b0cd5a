"""The vendor's end, whatever carries it: questions in, answers out, and nothing else about the vendor."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jaxcpp.agents.border import ANSWERS, AgentFault
from jaxcpp.agents.outside import Offer
from jaxcpp.fleet.vendors import Frame, Mask, OutsideVendor
from jaxcpp.remote import messages
from jaxcpp.remote.messages import OPEN, QUESTIONS, Header

SESSIONS = 16
"""Kept at once; the one that was silent for the longest goes."""

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A question that is not answered; its words may go to whoever asked."""


@dataclass
class _Session:
    """One `open` and what was asked since."""

    agent: Any
    ids: dict[str, int]
    open: Mask
    sequence: int = 0
    asked: dict[str, tuple[NDArray[Any], ...]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Answers:
    """Answers a vendor's questions out of its own agent.

    Args:
        vendor_id: whom the agent speaks for; questions to anybody else are refused.
        vendor: opens an agent for the contracts that a coordinator plans.
    """

    def __init__(self, vendor_id: str, vendor: OutsideVendor) -> None:
        self._vendor_id, self._vendor = vendor_id, vendor
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> bytes:
        """The answer to a question.

        Raises:
            RefusedError: in words that say nothing about the vendor's data; its own log has the rest.
        """
        try:
            header, table, facts = messages.decode(body, "question")
            if header.vendor_id != self._vendor_id:
                raise RefusedError("this agent speaks for another vendor")
            if header.method == OPEN:
                return self._open(header, table, facts)
            return self._ask(header, table)
        except RefusedError as error:
            log.warning("refused: %s", error)
            raise
        except AgentFault as error:
            log.warning("refused: %s", error)
            raise RefusedError(str(error)) from None
        except Exception:
            # What went wrong may speak of the vendor's tables: the vendor reads it, nobody else.
            log.exception("a question failed")
            raise RefusedError("the agent failed; its own log says why") from None

    def _open(self, header: Header, table: pa.Table, facts: dict[str, str]) -> bytes:
        weeks = facts.get("weeks", "")
        if not weeks.isdecimal() or not 1 <= int(weeks) <= 1000:
            raise RefusedError("open must say how many weeks there are, from 1 to 1000")
        ids = table["contract_id"].to_pylist()
        if len(set(ids)) != len(ids):
            raise RefusedError("open names a contract twice")
        nodes = table["inbound_ids"].to_pylist()
        frame = Frame(
            contract_ids=tuple(ids),
            product_ids=tuple(table["product_id"].to_pylist()),
            inbound_ids=tuple(map(tuple, nodes)),
            weeks=int(weeks),
            most=table["most"].to_numpy(),
            width=max(map(len, nodes), default=1),
            currency=facts.get("currency", ""),
            first_week=facts.get("first_week", ""),
        )
        agent, reached = self._vendor.open(frame)
        session = _Session(
            agent, {name: at for at, name in enumerate(ids)}, np.repeat(reached, int(weeks), 1)
        )
        with self._lock:
            if header.session in self._sessions:
                raise RefusedError("this session is open already")
            self._sessions[header.session] = session
            while len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        methods = ",".join(name for name in QUESTIONS if callable(getattr(agent, name, None)))
        columns = {"contract_id": ids, "reached": messages.pack(reached, frame.known)}
        return messages.encode(header, "answer", columns, {"methods": methods})

    def _ask(self, header: Header, table: pa.Table) -> bytes:
        with self._lock:
            session = self._sessions.get(header.session)
            if session is None:
                raise RefusedError("no such session is open; ask open first")
            self._sessions.move_to_end(header.session)
        with session.lock:
            if header.sequence <= session.sequence:
                raise RefusedError(f"question {header.sequence} after question {session.sequence}")
            session.sequence = header.sequence
            return _answered(session, header, table)


def _answered(session: _Session, header: Header, table: pa.Table) -> bytes:
    """Put the rows into the whole batch, ask the agent, and take the same rows out of its answer."""
    method, ids = header.method, table["contract_id"].to_pylist()
    if not callable(getattr(session.agent, method, None)):
        raise RefusedError(f"{method} is not offered")
    if any(name not in session.ids for name in ids) or len(set(ids)) != len(ids):
        raise RefusedError("a contract that was not opened, or twice the same")
    lanes = np.asarray([session.ids[name] for name in ids], np.intp)
    parts = QUESTIONS[method]
    whole = session.asked.get(method) or tuple(np.zeros(part.shape(*session.open.shape)) for part in parts)
    for part, values in zip(parts, whole, strict=True):
        column = table[part.name]
        values[lanes] = (
            messages.unpack(column, session.open[lanes], part.name) if part.by_node else column.to_numpy()
        )
    session.asked[method] = whole
    question: dict[str, Any] = {part.name: values.copy() for part, values in zip(parts, whole, strict=True)}
    raw = getattr(session.agent, method)(**({"offer": Offer(**question)} if method == "decide" else question))
    answers = (raw,) if len(ANSWERS[method]) == 1 else raw
    columns: dict[str, Any] = {"contract_id": ids}
    for part, values in zip(ANSWERS[method], answers, strict=True):
        rows = np.asarray(values)[lanes]
        open_ = session.open[lanes]
        columns[part.name] = messages.pack(rows, messages.entries(part, open_)) if part.by_node else rows
    return messages.encode(header, "answer", columns)
