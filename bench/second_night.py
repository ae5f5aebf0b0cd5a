"""A second night from the first one's prices, beside one from nothing: `python -m bench second-night`.

The same fleet with every demand changed at random by at most a share. Both runs must be certified alike,
and agree within their certificates, before anything is told.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bench.machine import where
from bench.peers.jaxcpp_batch import settle_backend
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Run
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.tables import read_fleet

RESULTS = Path(__file__).resolve().parent / "results"


def changed(fleet: Fleet, share: float, seed: int) -> Fleet:
    """The fleet with every demand times a number within `share` of one."""
    factor = np.random.default_rng(seed).uniform(1.0 - share, 1.0 + share, len(fleet.demand.units))
    return replace(fleet, demand=replace(fleet.demand, units=fleet.demand.units * factor))


def agree(one: Run, other: Run) -> bool:
    """Whether two runs are certified alike, and no gain differs by more than both gaps allow."""
    uncertified = [run.status_counts().get("not_converged", 0) for run in (one, other)]
    gains = [np.asarray(run.contracts["gain"], float) for run in (one, other)]
    gaps = [np.nan_to_num(np.asarray(run.contracts["efficiency_gap"], float)) for run in (one, other)]
    apart = np.nan_to_num(np.abs(gains[0] - gains[1]))
    return uncertified[0] == uncertified[1] and bool(np.all(apart <= sum(gaps) + 1e-6))


def told(run: Run, seconds: float) -> dict[str, Any]:
    """Rounds and seconds of a run."""
    rounds = np.asarray(run.contracts["rounds"], float)
    return {
        "rounds_mean": float(rounds.mean()),
        "rounds_median": float(np.median(rounds)),
        "rounds_p99": float(np.quantile(rounds, 0.99)),
        "rounds_most": float(rounds.max()),
        "seconds": seconds,
        "status": run.status_counts(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Plan three times, compare, write; 1 where the runs do not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fleet", nargs="?", default="examples/iowa")
    parser.add_argument("--change", type=float, default=0.1, help="share by which demands change")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    settle_backend()
    fleet, _ = read_fleet(asked.fleet)
    settings = Settings(tolerance=asked.tolerance)
    first = plan_fleet(fleet, settings)
    tonight = changed(fleet, asked.change, seed=1)
    runs, seconds = {}, {}
    for name, prices in (("cold", None), ("warm", first.prices)):
        begun = time.perf_counter()
        runs[name] = plan_fleet(tonight, settings, yesterday=prices)
        seconds[name] = time.perf_counter() - begun
    if not agree(runs["warm"], runs["cold"]):
        print("the two runs do not agree")  # noqa: T201
        return 1
    rows = {name: told(run, seconds[name]) for name, run in runs.items()}
    name = Path(asked.fleet).name
    result = {"fleet": name, "change": asked.change, "tolerance": asked.tolerance, **where(), **rows}
    path = asked.results / f"second-night-{name}-{jax.default_backend()}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for which, row in rows.items():
        print(which, {key: value for key, value in row.items() if key != "status"}, row["status"])  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
