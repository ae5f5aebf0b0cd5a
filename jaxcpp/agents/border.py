"""The border between the coordinator and an agent that is not ours: checks, deadlines, a log.

Every answer is checked before anything is made of it, contract by contract; a contract whose answer is
late, missing or not what was asked for gets a *fault*, and its neighbours go on.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcpp.agents.outside import Kind, Offer, kind_of

FAULTS = {
    "late": "the agent did not answer within the deadline",
    "failed": "the agent raised an exception",
    "wrong_shape": "an answer has another shape or number of parts than was asked for",
    "wrong_type": "an answer is no array of real numbers",
    "not_finite": "an answer holds NaN or infinity",
    "negative_units": "an answered plan holds less than nothing",
    "inconsistent": "the answers seen cannot all come from one concave utility",
    "unreachable": "there is no connection to the agent, or it was lost",
    "untrusted": "whoever answered did not prove to be the agent",
    "refused": "the agent refused to answer",
    "wrong_rows": "an answer speaks of other contracts or nodes than was asked",
    "replayed": "an answer belongs to another question",
    "bad_message": "an answer is no message of the agent protocol",
}
"""What may be wrong with an agent's answers, and what it means."""


class AgentFault(Exception):  # noqa: N818  (a fault, as everywhere here)
    """Raised in an agent's place by what knows better than "failed" what is wrong; one of `FAULTS`."""

    def __init__(self, fault: str, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


DUST = 1e-9
"""Of the largest number in a plan: less than nothing by no more than this is nothing."""


class Part(NamedTuple):
    """One array of an answer."""

    name: str
    by_node: bool
    units: bool = False  # must not be negative
    refusal: bool = False  # may be -inf
    by_pair: bool = False  # of nodes

    def shape(self, contracts: int, nodes: int) -> tuple[int, ...]:
        """Of the array in a batch."""
        return (contracts, *(nodes,) * (self.by_node + self.by_pair))


ANSWERS: dict[str, tuple[Part, ...]] = {
    "best_response": (Part("plan", True, units=True),),
    "best_plan": (Part("plan", True, units=True), Part("utility", False)),
    "smoothed_plan": (
        Part("plan", True, units=True),
        Part("utility", False),
        Part("surplus", False),
        Part("best", False),
        Part("drift", True),
        Part("slope", True, by_pair=True),
    ),
    "value_and_gradient": (Part("utility", False), Part("gradient", True)),
    "value": (Part("utility", False, refusal=True),),
    "confirm": (Part("plan", True, units=True),),
    "decide": (Part("accepts", False),),
}
"""The parts of every answer there is."""


@dataclass(frozen=True)
class Crossing:
    """One array that crossed the border.

    `direction` is "asked" for what went to the agent and "answered" for what came back; `contracts` is
    "all", or the number of the one contract that an agent of its own speaks for.
    """

    round: int
    agent: str
    contracts: int | str
    method: str
    direction: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    sha256: str
    values: Any = None


@dataclass
class BorderLog:
    """Everything that crossed the border, in order; with `keep`, the numbers too."""

    keep: bool = False
    crossings: list[Crossing] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, turn: int, agent: str, contracts: int | str, method: str, direction: str, name: str, array: Any
    ) -> None:
        """Write down one array that crossed in round `turn`."""
        seen = np.asarray(array)
        raw = np.ascontiguousarray(seen).tobytes() if seen.dtype != object else repr(array).encode()
        values = seen.tolist() if self.keep and seen.dtype != object else None
        digest = hashlib.sha256(raw).hexdigest()
        self.crossings.append(
            Crossing(turn, agent, contracts, method, direction, name, seen.shape, str(seen.dtype), len(raw),
                     digest, values)
        )  # fmt: skip

    def write(self, path: str | Path) -> None:
        """Write the log as JSON, one line a crossing, then one a fault."""
        lines = [json.dumps(asdict(crossing)) for crossing in self.crossings]
        lines += [json.dumps({"fault": fault}) for fault in self.faults]
        Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


class Border:
    """An agent behind its border: asks, checks every answer, and remembers who has failed.

    Args:
        agent: an object that speaks for all contracts, or a sequence of objects, one a contract, each of
            which speaks for a batch of one and fails on its own.
        name: how the log and messages call it.
        contracts, nodes: the batch's shape.
        deadline: seconds an answer may take; None waits for ever.
        log: where crossings are written down.

    Raises:
        TypeError: an object offers no kind of answer, or the objects of a sequence offer different ones.
        ValueError: a sequence has another length than there are contracts.
    """

    def __init__(
        self, agent: object, name: str, contracts: int, nodes: int, *, deadline: float | None = None,
        log: BorderLog | None = None,
    ) -> None:  # fmt: skip
        separate = isinstance(agent, Sequence) and not isinstance(agent, str)
        self._agents: list[Any] = list(agent) if isinstance(agent, Sequence) and separate else [agent]
        if separate and len(self._agents) != contracts:
            raise ValueError(f"{name}: {len(self._agents)} agents for {contracts} contracts; give one each")
        kinds = {kind_of(each) for each in self._agents}
        if len(kinds) != 1:
            raise TypeError(f"{name}: the agents of a batch must all be of one kind; got {sorted(kinds)}")
        self.kind: Kind = kinds.pop()
        self.name, self.contracts, self.nodes = name, contracts, nodes
        self.log = BorderLog() if log is None else log
        self.round = 0
        self.calls = 0
        self.fault = np.full(contracts, "", dtype="<U16")
        self.reason: list[str] = [""] * contracts
        self._separate, self._deadline = separate, deadline

    def offers(self, method: str) -> bool:
        """Whether the agent, or each agent of the batch, has a method."""
        return all(callable(getattr(agent, method, None)) for agent in self._agents)

    @property
    def alive(self) -> np.ndarray:
        """(contracts,) whose answers have been sound so far."""
        return self.fault == ""

    def blame(self, contracts: Any, fault: str, reason: str) -> None:
        """Give contracts (a mask, or a number) that have none yet a fault."""
        mask = np.zeros(self.contracts, bool)
        mask[contracts] = True
        for lane in np.flatnonzero(mask & self.alive):
            self.fault[lane], self.reason[lane] = fault, f"{self.name}: {reason}"
            seen = {"round": self.round, "agent": self.name, "contract": int(lane), "fault": fault}
            self.log.faults.append(seen | {"reason": self.reason[lane]})

    def ask(self, method: str, **question: Any) -> tuple[np.ndarray, ...]:
        """The checked parts of an answer, in float64; zeros for contracts that have a fault.

        Every array of the question has a leading contract axis and is handed over as a copy.
        """
        self.calls += 1
        parts = ANSWERS[method]
        checked = tuple(np.zeros(part.shape(self.contracts, self.nodes)) for part in parts)
        if not self._separate:
            groups: list[tuple[Any, Any, int | str]] = [(self._agents[0], slice(None), "all")]
        else:
            groups = [(each, slice(i, i + 1), i) for i, each in enumerate(self._agents)]
        waiting = []
        for agent, lanes, who in groups:
            if not np.any(self.alive[lanes]):
                continue
            sent = {name: np.array(value[lanes], copy=True) for name, value in question.items()}
            for name, array in sent.items():
                self.log.add(self.round, self.name, who, method, "asked", name, array)
            given = {"offer": Offer(**sent)} if method == "decide" else sent
            waiting.append((lanes, who, _begin(getattr(agent, method), given)))
        due = None if self._deadline is None else time.monotonic() + self._deadline
        for lanes, who, answer in waiting:
            self._receive(method, lanes, who, answer, due, checked)
        for part in checked:
            part[~self.alive] = 0.0
        return checked

    def _receive(
        self, method: str, lanes: slice, who: int | str, answer: queue.SimpleQueue[Any], due: float | None,
        checked: tuple[np.ndarray, ...],
    ) -> None:  # fmt: skip
        """Wait for one answer and check it into its place."""
        try:
            error, raw = answer.get(timeout=None if due is None else max(due - time.monotonic(), 0.0))
        except queue.Empty:
            self.blame(lanes, "late", f"{method} took longer than {self._deadline:g} s")
            return
        if isinstance(error, AgentFault):
            self.blame(lanes, error.fault, f"{method}: {error}")
            return
        if error is not None:
            self.blame(lanes, "failed", f"{method} raised {type(error).__name__}: {error}")
            return
        parts = ANSWERS[method]
        pieces = (raw,) if len(parts) == 1 else raw
        if not isinstance(pieces, tuple | list) or len(pieces) != len(parts):
            names = ", ".join(part.name for part in parts)
            self.blame(lanes, "wrong_shape", f"{method} must answer ({names})")
            return
        for part, piece, into in zip(parts, pieces, checked, strict=True):
            self._check(method, part, piece, lanes, who, into)

    def _check(
        self, method: str, part: Part, piece: Any, lanes: slice, who: int | str, into: np.ndarray
    ) -> None:
        """Check one array of an answer and copy what is sound of it into its place."""
        try:
            array = np.asarray(piece)
        except ValueError as error:  # lists of different lengths
            self.blame(lanes, "wrong_shape", f"{method} answered a {part.name} that is no array: {error}")
            return
        self.log.add(self.round, self.name, who, method, "answered", part.name, array)
        if array.dtype.kind not in "fiub":
            self.blame(lanes, "wrong_type", f"{method} answered a {part.name} of type {array.dtype}")
            return
        if array.shape != into[lanes].shape:
            wanted = into[lanes].shape
            self.blame(lanes, "wrong_shape", f"{method} answered a {part.name} {array.shape}, not {wanted}")
            return
        numbers = array.astype(np.float64)
        rows = numbers.reshape(len(numbers), -1)
        sound = np.isfinite(rows) | (np.isneginf(rows) if part.refusal else False)
        broken = np.zeros(self.contracts, bool)
        broken[lanes] = ~np.all(sound, axis=1)
        self.blame(broken, "not_finite", f"{method} answered a {part.name} with NaN or infinity")
        rows = np.where(sound, rows, 0.0)
        if part.units:
            least = -DUST * np.max(np.abs(rows), axis=1, initial=0.0)
            negative = np.zeros(self.contracts, bool)
            negative[lanes] = np.any(rows < least[:, None], axis=1)
            self.blame(negative, "negative_units", f"{method} answered a {part.name} below zero")
            rows = np.maximum(rows, 0.0)
        into[lanes] = rows.reshape(numbers.shape)


def _begin(method: Callable[..., Any], question: Mapping[str, Any]) -> queue.SimpleQueue[Any]:
    """Call a method on a thread of its own, which a late answer may keep without keeping us."""
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def call() -> None:
        try:
            answer.put((None, method(**question)))
        except Exception as error:  # noqa: BLE001 - whatever anybody's code raises is a fault of its own
            answer.put((error, None))

    threading.Thread(target=call, daemon=True).start()
    return answer
