"""Writes a fleet's folder from tables in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from jaxcpp.tables.schema import FLEET, FLEET_TOML, TableSpec
from jaxcpp.tables.whole import write_parquet, write_text


def write_fleet(folder: str | Path, tables: Mapping[str, pa.Table], toml: Mapping[str, str]) -> None:
    """Writes one Parquet file a table, and `fleet.toml`, into a new, empty, or earlier fleet's folder.

    `tables` holds the fleet's tables by name, columns in the units of the file contract; an
    optional table or column may be left out. `toml` holds any of `name`, `currency` and
    `first_week` (ISO date). The same tables give the same bytes.

    Raises `ValueError` for tables or keys that the contract does not know, columns that are
    missing, unknown, of another type or null where none may be; `FileExistsError` for a folder
    that holds something else. Values are not checked; `check_fleet` does that.
    """
    folder = Path(folder)
    if unknown := sorted(set(toml) - set(FLEET_TOML)):
        raise ValueError(f"fleet.toml has no key {unknown[0]!r}; it has {', '.join(FLEET_TOML)}")
    if unknown := sorted(set(tables) - set(FLEET)):
        raise ValueError(f"a fleet has no table {unknown[0]!r}; it has {', '.join(FLEET)}")
    if missing := [name for name, spec in FLEET.items() if not spec.optional and name not in tables]:
        raise ValueError(f"a fleet needs the table {missing[0]!r}")
    shaped = {name: _shaped(FLEET[name], table) for name, table in tables.items()}
    if folder.exists() and any(folder.iterdir()) and not (folder / "products.parquet").exists():
        raise FileExistsError(f"{folder} holds something else than a fleet; name a new or an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, spec in FLEET.items():
        if name in shaped:
            write_parquet(shaped[name], folder / f"{spec.name}.parquet")
        else:
            (folder / f"{spec.name}.parquet").unlink(missing_ok=True)
    # A basic string of TOML has the escapes of JSON's.
    lines = [f"{key} = {json.dumps(toml[key], ensure_ascii=False)}\n" for key in FLEET_TOML if key in toml]
    write_text("".join(lines), folder / "fleet.toml")


def _shaped(spec: TableSpec, table: pa.Table) -> pa.Table:
    """The table's columns in the contract's order and types."""
    if unknown := sorted(set(table.column_names) - set(spec.by_name)):
        raise ValueError(f"{spec.name} has no column {unknown[0]!r}; it has {', '.join(spec.by_name)}")
    found, columns = [], []
    for column in spec.columns:
        if column.name not in table.column_names:
            if column.required:
                raise ValueError(f"{spec.name} needs the column {column.name!r}")
            continue
        field = column.arrow
        try:
            values = table[column.name].cast(field.type)
        except pa.ArrowException as error:
            raise ValueError(
                f"{spec.name}.{column.name} cannot be stored as {field.type}: {error}"
            ) from error
        if column.required and values.null_count:
            raise ValueError(f"{spec.name}.{column.name} holds {values.null_count} nulls and may hold none")
        found.append(field)
        columns.append(values)
    return pa.table(columns, schema=pa.schema(found))
