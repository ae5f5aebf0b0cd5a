"""Where and on what a result was measured."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

BUSY = 0.25
"""Load a core, before anything of ours runs, from which a machine is called busy."""

# When the bench started, for its processes too: later the load is our own.
_LOAD = float(os.environ.setdefault("BENCH_LOAD_BEFORE", str(os.getloadavg()[0])))


def where() -> dict[str, Any]:
    """Commit, date, Python and processor, and whether others used the machine too."""
    return {
        "commit": _commit(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "processor": processor(),
        "load_before": round(_LOAD, 2),
        "busy": BUSY * len(os.sched_getaffinity(0)) < _LOAD,
    }


@functools.cache
def ceilings() -> dict[str, Any]:
    """What the machine can do at most, measured now in a process of its own: see `bench.ceilings`."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.ceilings"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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


def processor() -> str:
    """How many processors of what name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
