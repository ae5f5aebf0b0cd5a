"""TOML files that options name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import typer


def read_toml(path: Path) -> dict[str, Any]:
    """What a file holds. Raises typer.BadParameter, in words, where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is not TOML: {error}") from None
