"""What a run in parts has so far: what it was begun with, and a row for every part that is whole."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pyarrow as pa
from pyarrow import fs

import jaxcpp
from jaxcpp.cluster.ids import digest, file_digest
from jaxcpp.fleet.pack import Padding
from jaxcpp.fleet.settings import Settings
from jaxcpp.tables.places import Folder, filesystem_of, place, remove_folder
from jaxcpp.tables.rolls import ResumeError
from jaxcpp.tables.runs import MANIFEST, PARTS, RUN_JSON, SUCCESS, plain, remove_outcome
from jaxcpp.tables.whole import write_parquet, write_text

BEGUN: Final = "begun.json"
CUT: Final = "cut.parquet"
READERS: Final = 16
"""Rows of parts that are read at once."""
TABLES: Final = ("contracts", "plans", "flows", "prices", "rejected")

SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.int64()) for name in ("part", "contracts", "certified")),
        *(pa.field(name, pa.string()) for name in ("input", "begun_with", "version", "jax", "jaxlib")),
        *(pa.field(name, pa.string()) for name in ("device", "worker", "statuses", "first", "last")),
        pa.field("worst_gap", pa.float64()),
        *(
            pa.field(name, pa.float64(), metadata={"unit": "s"})
            for name in ("read", "compile", "solve", "write")
        ),
        pa.field("peak_memory", pa.float64(), metadata={"unit": "MiB"}),
        *(pa.field(f"{name}_bytes", pa.int64(), metadata={"unit": "bytes"}) for name in TABLES),
    ]
)
"""`manifest.parquet`: a row a part."""

Row = dict[str, Any]


def versions() -> dict[str, str]:
    """What a part's numbers depend on beside its input and the settings."""
    return {
        "version": jaxcpp.__version__,
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib")},
    }


def begun_with(
    fleet: Folder, settings: Settings, *, part_size: int, skip_bad: bool, warm_start: str | None
) -> dict[str, Any]:
    """All that must be the same for parts to belong to one run; the fleet's files are read for their hash."""
    prices = None
    if warm_start is not None:
        prices = file_digest(*filesystem_of(place(warm_start) / "prices.parquet"))
    facts = {
        **versions(),
        "settings": dataclasses.asdict(settings),
        "fleet": digest(fleet),
        "part_size": part_size,
        "skip_bad": skip_bad,
        "warm_start": prices,
    }
    return dict(json.loads(json.dumps(plain(facts))))


def key(facts: Mapping[str, Any]) -> str:
    """sha256 [hex] of what a run was begun with."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def earlier(run: Folder) -> dict[str, Any] | None:
    """What the run in a folder was begun with; None where there is none, or none that was made in parts.

    Raises `ResumeError` for a whole run that was not made in parts.
    """
    if (run / PARTS / BEGUN).exists():
        return dict(json.loads((run / PARTS / BEGUN).read_text(encoding="utf-8")))
    if not (run / RUN_JSON).exists():
        return None
    facts = json.loads((run / RUN_JSON).read_text(encoding="utf-8"))
    if "parts" not in facts:
        raise ResumeError(
            "the run there is whole and was not made in parts: there is nothing to resume; leave out "
            "--resume to plan again"
        )
    return dict(facts["parts"]) if is_whole(run) else None


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises `ResumeError` where parts of two runs would be mixed; says what differs."""
    for name, value in now.items():
        if before.get(name) != value:
            what = _differs(before.get(name), value) if name == "settings" else name.replace("_", " ")
            was, is_ = (
                (before.get(name), value) if name not in ("settings", "fleet", "warm_start") else (None, None)
            )
            numbers = f" ({was}, now {is_})" if was is not None else ""
            raise ResumeError(
                f"cannot resume: the parts there were made with another {what}{numbers}; name another "
                "folder, or leave out --resume to begin anew"
            )


def _differs(before: Any, now: Any) -> str:
    names = sorted(name for name in now if (before or {}).get(name) != now[name])
    return ", ".join(names).replace("_", " ")


def begin(run: Folder) -> None:
    """Makes the folder ready for parts; those of another run are taken away."""
    remove_folder(run / PARTS)
    (run / PARTS).mkdir(parents=True, exist_ok=True)


def mark_begun(run: Folder, facts: Mapping[str, Any], padding: Padding) -> None:
    """Says what the parts in the folder are made with; a folder without it begins anew."""
    bundles = [[list(kind), list(sizes)] for kind, sizes in sorted(padding.bundles.items())]
    sizes = {"inbound": padding.inbound, "sources": padding.sources, "bundles": bundles}
    remove_outcome(run)
    text = json.dumps({**facts, "padding": sizes}, indent=2, sort_keys=True)
    write_text(text + "\n", run / PARTS / BEGUN)


def padding_of(run: Folder) -> Padding:
    """What problems of the run in a folder are padded to."""
    sizes = json.loads((run / PARTS / BEGUN).read_text(encoding="utf-8"))["padding"]
    bundles = {(step, several, own): tuple(most) for (step, several, own), most in sizes["bundles"]}
    return Padding(sizes["inbound"], sizes["sources"], bundles)


def is_whole(run: Folder) -> bool:
    """Whether all that a run in parts writes is there."""
    return (run / SUCCESS).exists() and (run / RUN_JSON).exists()


def part_file(run: Folder, part: int, table: str) -> Folder:
    """Where a part's table lies."""
    return run / PARTS / f"part-{part:06d}.{table}.parquet"


def write_row(run: Folder, row: Row, mark: str) -> None:
    """Says that a part is whole: its tables must be."""
    path = run / PARTS / f"part-{row['part']:06d}.json"
    write_text(json.dumps(plain(row), indent=2, sort_keys=True) + "\n", path, mark)


def rows_of(run: Folder, begun: str) -> dict[int, Row]:
    """The rows of the whole parts, by part: those whose tables have the sizes that the row says."""
    filesystem, folder = filesystem_of(run / PARTS)
    held = {info.base_name: info.size for info in filesystem.get_file_info(fs.FileSelector(folder))}
    names = [name for name in held if name.startswith("part-") and name.endswith(".json")]

    def row_of(name: str) -> Row:
        return dict(json.loads((run / PARTS / name).read_text(encoding="utf-8")))

    with ThreadPoolExecutor(READERS) as readers:  # a store on a network answers many at once as soon as one
        rows = {row["part"]: row for row in readers.map(row_of, names) if row["begun_with"] == begun}
    return {
        part: row
        for part, row in sorted(rows.items())
        if all(held.get(part_file(run, part, name).name) == row[f"{name}_bytes"] for name in TABLES)
    }


def size_of(path: Folder) -> int | None:
    """A file's size [bytes]; None where there is none."""
    filesystem, where = filesystem_of(path)
    info = filesystem.get_file_info(where)
    return int(info.size) if info.is_file else None


def write_manifest(run: Folder, rows: Mapping[int, Row]) -> None:
    """Writes every part's row as one table."""
    ordered = [{name: rows[part].get(name) for name in SCHEMA.names} for part in sorted(rows)]
    write_parquet(pa.Table.from_pylist(ordered, schema=SCHEMA), run / MANIFEST)
