"""From the command to its first solved batch, compiled programs at hand or not: `python -m bench cold`.

The command is `jaxcpp plan`, in a process of its own, started anew each time; `solve` holds the seconds until
it reports its first contracts as done, `all` those until the prompt is back.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.alone import ROOT
from bench.fleets import EXAMPLES
from bench.stored import Row

FLEETS = ("toy", "iowa")


def measured(name: str, repeats: int) -> list[Row]:
    """Two rows for a bundled fleet: the cache of programs empty each time, and full."""
    with tempfile.TemporaryDirectory() as folder:
        empty = [one(name, Path(folder) / f"cache-{turn}") for turn in range(repeats)]
        full = [one(name, Path(folder) / "cache-0") for _ in range(repeats)]
    return [row(name, "empty", empty), row(name, "full", full)]


def row(name: str, cache: str, found: list[dict[str, Any]]) -> Row:
    """What is kept of the runs of one fleet with one kind of cache."""
    return {
        "label": f"{name}, cache {cache}",
        "fleet": name,
        "cache": cache,
        "contracts": found[0]["contracts"],
        "solve": [run["first"] for run in found],
        "all": [run["all"] for run in found],
        "platform": found[0]["platform"],
        "device": found[0]["device"],
    }


def one(name: str, cache: Path) -> dict[str, Any]:
    """One run of the command: seconds to the first solved batch and to the end."""
    with tempfile.TemporaryDirectory() as folder:
        out, run = Path(folder) / "first.json", Path(folder) / "run"
        begun = time.time()
        command = [sys.executable, "-m", "bench.cold", str(EXAMPLES / name), str(run), str(out)]
        environment = _environment(cache)
        subprocess.run(command, cwd=ROOT, check=True, env=environment, stdout=subprocess.DEVNULL)
        ended = time.time()
        device = json.loads((run / "run.json").read_text(encoding="utf-8"))["device"]
        told = json.loads(out.read_text(encoding="utf-8"))
    return {
        "first": told["at"] - begun,
        "all": ended - begun,
        "contracts": told["total"],
        "device": device,
        "platform": "cpu" if "cpu" in device else "gpu",
    }


def _environment(cache: Path) -> dict[str, str]:
    """As a user's, but for where compiled programs are kept."""
    ours = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    return ours | {"XDG_CACHE_HOME": str(cache)}


def command(fleet: str, run: str, out: str) -> None:
    """`jaxcpp plan FLEET RUN`, which writes down when its first contracts were done."""
    from jaxcpp.cli import progress
    from jaxcpp.fleet.settings import OnProgress, Progress

    seen: list[float] = []

    @contextmanager
    def watched(_: Any) -> Iterator[OnProgress]:
        def note(state: Progress) -> None:
            if state.done and not seen:
                seen.append(time.time())
                Path(out).write_text(json.dumps({"at": seen[0], "total": state.total}), encoding="utf-8")

        yield note

    progress.progress_bar = watched  # type: ignore[assignment]  # the command looks it up when it runs
    from jaxcpp.cli.app import main

    sys.argv = ["jaxcpp", "plan", fleet, run]
    main()


def shown(rows: list[Row]) -> Table:
    """Starts as people read them: the median run."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("fleet", "cache", "contracts", "first solved batch", "prompt back"):
        table.add_column(column, justify="left" if column in ("fleet", "cache") else "right")
    for row in rows:
        seconds = (f"{statistics.median(row[part]):.1f} s" for part in ("solve", "all"))
        table.add_row(row["fleet"], row["cache"], f"{row['contracts']:,}", *seconds)
    return table


if __name__ == "__main__":
    command(*sys.argv[1:])
