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


def parts(results: Path, *, rehearse: bool = False) -> list[Part]:
    """Every part, within twelve minutes on two quiet cores; to `rehearse`, as little of each as will do."""
    out = ["--results", str(results)]
    batches = {"S": "2048", "M": "1024", "L": "64", "W": "32"}
    if rehearse:
        some = ["--batch", "4", "--repeats", "1", "--peers", "jaxcpp,ortools,pot-eliminated"]
        few = ["--batches", "S:1,1000,2000", "--products", "", "--no-problems"]
        return [
            ("contracts S", 1.0, ["contracts", "--size", "S", *some, *out]),
            ("fleets", 1.0, ["fleets", "--names", "toy,iowa-40", "--repeats", "1", *out]),
            ("cold", 1.0, ["cold", "--names", "toy", "--repeats", "1", *out]),
            ("admm", 1.0, ["admm", "--size", "S", "--batch", "4", *out]),
            ("scaling", 1.0, ["scaling", "--repeats", "1", *few, *out]),
        ]
    compared = ["contracts", "--size"]
    points = ["--batches", "S:1,100,1000,10000,100000 M:1000,10000", "--products", "1000,10000"]
    return [
        *((f"contracts {size}", 60.0, [*compared, size, "--batch", n, *out]) for size, n in batches.items()),
        ("fleets", 60.0, ["fleets", *out]),
        ("cold", 90.0, ["cold", "--repeats", "2", *out]),
        ("admm", 90.0, ["admm", *out]),
        ("scaling", 210.0, ["scaling", "--repeats", "2", *points, *out]),
        ("second night", 30.0, ["second-night", *out]),
    ]


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
