"""Files with the same bytes for the same content, never half written under their own name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes a table [zstd, checksummed pages]; nothing in the file depends on when or where."""

    def write(hidden: Path) -> None:
        pq.write_table(
            table.combine_chunks(),
            hidden,
            compression="zstd",
            compression_level=9,
            write_page_checksum=True,
            version="2.6",
        )

    _write_whole(path, write)


def write_text(text: str, path: Path) -> None:
    """Writes UTF-8 text with the line ends that it has."""

    def write(hidden: Path) -> None:
        hidden.write_text(text, encoding="utf-8", newline="")

    _write_whole(path, write)


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file under a temporary name in the same folder, then gives it its own."""
    hidden = path.with_name(f".{path.name}.tmp")
    try:
        write(hidden)
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
