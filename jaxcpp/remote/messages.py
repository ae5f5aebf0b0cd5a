"""The agent protocol's messages: Arrow schemas, headers, bytes. Frozen; docs/agent-protocol.md says the same.

A message is one Arrow IPC stream, its buffers compressed: a row a contract, lists over the contract's open
nodes (inbound node, then week, the week fastest), and a header in the schema's metadata. An answer repeats
the session, sequence number, nonce and method of its question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jaxcpp.agents.border import ANSWERS, AgentFault, Part

PROTOCOL: Final = "jaxcpp-agent/1"
LARGEST: Final = 1 << 30
"""Bytes of a message, at most."""

Direction = Literal["question", "answer"]
Columns = dict[str, Any]

OPEN: Final = "open"
QUESTIONS: Final[Mapping[str, tuple[Part, ...]]] = {
    "best_response": (Part("price", True), Part("proposal", True), Part("rho", False)),
    "best_plan": (Part("price", True),),
    "smoothed_plan": (Part("price", True), Part("smoothing", False)),
    "value_and_gradient": (Part("plan", True),),
    "value": (Part("plan", True),),
    "confirm": (Part("order", True),),
    "decide": (Part("plan", True), Part("order", True), Part("price", False)),
}
"""The parts of every question there is, beside `open`; `ANSWERS` has those of the answers."""

_OPEN: Final[Mapping[Direction, tuple[tuple[str, pa.DataType], ...]]] = {
    "question": (
        ("product_id", pa.string()),
        ("inbound_ids", pa.list_(pa.string())),
        ("most", pa.float64()),
    ),
    "answer": (("reached", pa.list_(pa.bool_())),),
}


@dataclass(frozen=True)
class Header:
    """Which question a message is, or answers; all text in the schema's metadata."""

    method: str
    vendor_id: str
    session: str  # the coordinator's random name for one `open` and what follows
    sequence: int  # 0 for `open`, then one more each question
    nonce: str  # random, new with each question
    protocol: str = PROTOCOL


def schema(method: str, direction: Direction) -> pa.Schema:
    """The columns of a question or an answer."""
    columns: list[tuple[str, pa.DataType]] = [("contract_id", pa.string())]
    if method == OPEN:
        return pa.schema([*columns, *_OPEN[direction]])
    for part in (QUESTIONS if direction == "question" else ANSWERS)[method]:
        plain = pa.bool_() if part.name == "accepts" else pa.float64()
        columns.append((part.name, pa.list_(plain) if part.by_node else plain))
    return pa.schema(columns)


def encode(
    header: Header, direction: Direction, columns: Columns, facts: Mapping[str, str] | None = None
) -> bytes:
    """A message; `facts` are further metadata (`open` has some)."""
    shape = schema(header.method, direction)
    arrays = [pa.array(columns[name], shape.field(name).type) for name in shape.names]
    texts = {field.name: str(getattr(header, field.name)) for field in fields(Header)}
    batch = pa.record_batch(arrays, schema=shape.with_metadata({**texts, **(facts or {})}))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode(body: bytes, direction: Direction) -> tuple[Header, pa.Table, dict[str, str]]:
    """A message's header, rows and all of its metadata, checked against the schema of its method.

    Raises:
        AgentFault: `bad_message`, in words.
    """
    if len(body) > LARGEST:
        raise AgentFault("bad_message", f"a message of {len(body):,} bytes; {LARGEST:,} are allowed")
    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
        facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        header = _header(facts)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise AgentFault("bad_message", f"no Arrow stream: {_short(error)}") from None
    shape = schema(header.method, direction)
    found = pa.schema([(field.name, _plain(field.type)) for field in table.schema])
    if not found.equals(shape, check_metadata=False):
        raise AgentFault("bad_message", f"{header.method} has the columns {_short(found)}")
    for name in shape.names:
        column = table[name]
        flat = column.combine_chunks().flatten() if pa.types.is_list(column.type) else column
        if column.null_count or flat.null_count:
            raise AgentFault("bad_message", f"{header.method} has nulls in {name}")
    return header, table.cast(shape), facts


def _header(facts: Mapping[str, str]) -> Header:
    missing = [field.name for field in fields(Header) if field.name not in facts]
    if missing:
        raise AgentFault("bad_message", f"the metadata lacks {', '.join(missing)}")
    if facts["protocol"] != PROTOCOL:
        raise AgentFault("bad_message", f"it speaks {facts['protocol'][:40]!r}, not {PROTOCOL!r}")
    if facts["method"] not in (OPEN, *QUESTIONS) or not facts["sequence"].isdecimal():
        raise AgentFault("bad_message", "its method or sequence number is none")
    texts = {name: facts[name] for name in ("method", "vendor_id", "session", "nonce")}
    return Header(sequence=int(facts["sequence"]), **texts)


def _plain(kind: pa.DataType) -> pa.DataType:
    """A list's type whatever its items are called and whether they may be null."""
    return pa.list_(kind.value_type) if pa.types.is_list(kind) else kind


def _short(words: object) -> str:
    return " ".join(str(words).split())[:200]


def entries(part: Part, open_: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What of an array by contract and node, or pair of nodes, crosses: the open ones."""
    return open_[:, :, None] & open_[:, None, :] if part.by_pair else open_


def pack(values: NDArray[Any], open_: NDArray[np.bool_]) -> pa.Array:
    """An array by contract as a list a contract, of its open entries only."""
    sizes = np.concatenate([[0], np.cumsum(open_.reshape(len(open_), -1).sum(axis=1))])
    return pa.ListArray.from_arrays(pa.array(sizes, pa.int32()), pa.array(values[open_]))


def unpack(column: pa.ChunkedArray, open_: NDArray[np.bool_], name: str) -> NDArray[Any]:
    """A list a contract as an array of the shape of `open_`, nothing where that is false.

    Raises:
        AgentFault: `wrong_shape` where a list has not one number for each open entry.
    """
    array = column.combine_chunks()
    sizes = array.value_lengths().to_numpy(zero_copy_only=False)
    wanted = open_.reshape(len(open_), -1).sum(axis=1)
    if not np.array_equal(sizes, wanted):
        row = int(np.flatnonzero(sizes != wanted)[0])
        raise AgentFault("wrong_shape", f"{name} has {sizes[row]} entries for {wanted[row]} that are open")
    flat = array.flatten().to_numpy(zero_copy_only=False)
    values = np.zeros(open_.shape, flat.dtype)
    values[open_] = flat
    return values
