"""Result files: one JSON document a measurement, told apart by what was measured and on what kind of device.

Every document says where it was made (`bench.machine.where`) and has `rows`. A row has a `label` of its own
in the file, `contracts`, and the seconds of each repetition that solved them, `solve`.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from bench.machine import where

RESULTS = Path(__file__).resolve().parent / "results"

Row = dict[str, Any]
Document = dict[str, Any]


def document(kind: str, rows: list[Row], **facts: Any) -> Document:
    """A result, with where it was measured."""
    return {"kind": kind, **facts, **where(), "rows": rows}


def store(name: str, result: Document, folder: Path = RESULTS) -> Path:
    """Write a document; its file is called by `name` and the platform that jaxcpp ran on."""
    platforms = {row.get("platform", "cpu") for row in result["rows"]}
    path = folder / f"{name}-{'gpu' if 'gpu' in platforms else 'cpu'}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Document:
    """Read a document. Raises ValueError, with the file's name, where it is no result with rows."""
    try:
        found: Document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a result file: {error}") from error
    if not isinstance(found.get("rows"), list):
        raise ValueError(f"{path}: not a result file: it has no rows")
    return found


def rate(row: Row) -> float:
    """Contracts a second, at the median repetition."""
    return float(row["contracts"] / statistics.median(row["solve"]))
