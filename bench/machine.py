"""Where and on what a result was measured."""

from __future__ import annotations

import datetime as dt
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def where() -> dict[str, str]:
    """Commit, date, Python and processor, as every stored result has them."""
    return {
        "commit": _commit(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "processor": _processor(),
    }


def _commit() -> str:
    """The commit timed, marked where the working tree differs from it; empty outside a clone."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
