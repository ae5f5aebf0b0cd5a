"""docs/agent-protocol.md says what the code does: schemas, header, statuses."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from jaxcpp.agents.border import FAULTS
from jaxcpp.remote import messages
from jaxcpp.remote.messages import OPEN, QUESTIONS, Header

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "agent-protocol.md").read_text(encoding="utf-8")
LINES = [line for line in PAGE.splitlines() if line.startswith("| `")]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES]


def in_words(method, direction):
    kinds = {"list<item: string>": "list of string", "list<item: double>": "list of double",
             "list<item: bool>": "list of bool"}  # fmt: skip
    shape = messages.schema(method, direction)
    return ", ".join(f"`{field.name}` {kinds.get(str(field.type), field.type)}" for field in shape)


def test_every_schema_is_documented_as_it_is():
    documented = {row[0].strip("`"): row[1:] for row in ROWS if len(row) == 3}
    assert documented == {
        method: [in_words(method, "question"), in_words(method, "answer")] for method in (OPEN, *QUESTIONS)
    }


def test_every_key_of_the_header_and_every_fault_of_a_wire_is_named():
    named = {name for row in ROWS if len(row) == 2 for name in re.findall(r"`(\w+)`", row[0])}
    assert {field.name for field in fields(Header)} <= named
    assert set(FAULTS) - {"failed", "wrong_type"} <= named
    assert messages.PROTOCOL in PAGE
