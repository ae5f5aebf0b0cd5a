"""What `python -m bench all` runs, in the order of how much each figure is wanted."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.alone import ROOT

Part = tuple[str, float, list[str]]
"""Name, about how many seconds it takes on two quiet cores, arguments of `python -m bench`."""


def parts(results: Path) -> list[Part]:
    """Every part that fits into twelve minutes on two quiet cores."""
    out = ["--results", str(results)]
    found: list[Part] = [
        ("contracts S", 75.0, ["contracts", "--size", "S", "--batch", "2048", *out]),
        ("contracts M", 75.0, ["contracts", "--size", "M", "--batch", "1024", *out]),
        ("contracts L", 75.0, ["contracts", "--size", "L", "--batch", "64", *out]),
        ("contracts W", 90.0, ["contracts", "--size", "W", "--batch", "32", *out]),
        ("fleets", 70.0, ["fleets", *out]),
        ("cold", 110.0, ["cold", "--repeats", "2", *out]),
        ("admm", 60.0, ["admm", *out]),
        ("scaling", 150.0, ["scaling", "--repeats", "2", "--products", "1000,3291,10000", *out]),
        ("second night", 30.0, ["second-night", *out]),
        ("table", 1.0, ["table", *out]),
    ]
    return found


def run_all(wanted: list[Part], budget: float, told: Callable[[str], None]) -> list[str]:
    """Run each part as a command of its own, within the seconds left; those that were not done.

    A part that does not fit any more is not begun, one that takes longer is ended, and one that fails keeps
    none of the others from its turn.
    """
    begun, not_done = time.monotonic(), []
    for name, seconds, arguments in wanted:
        left = budget - (time.monotonic() - begun)
        if left < seconds:
            told(f"== {name} is left out: it takes about {seconds:.0f} s, {left:.0f} s are left")
            not_done.append(name)
            continue
        told(f"== {name}")
        started = time.monotonic()
        try:
            command = [sys.executable, "-m", "bench", *arguments]
            status = str(subprocess.run(command, cwd=ROOT, check=False, timeout=left).returncode)
        except subprocess.TimeoutExpired:
            status = "out of time"
        told(f"== {name}: {time.monotonic() - started:.0f} s, status {status}")
        not_done += [] if status == "0" else [name]
    return not_done
