"""A second night from the first one's prices, beside one from nothing: `python -m bench second-night`.

The same fleet with every demand changed at random by at most a share. Both runs must be certified alike,
and agree within their certificates, before anything is told. Where the CPU kernel serves, its searches are
timed by themselves too: by a path down in smoothing, and by augmenting paths from the vendors'
quotes (cold) and from last night's prices (warm). A round of those is as many lanes and ways between nodes
looked at as there are: what a round of the path looks at, without its exponentials and its factor.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bench.machine import where
from bench.peers.jaxcpp_batch import settle_backend
from jaxcpp.consensus import newton
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.pack import Lanes, Packer
from jaxcpp.fleet.programs import first_price, parties
from jaxcpp.fleet.results import Columns, Run
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.fleet.warm import Prices
from jaxcpp.tables import read_fleet
from jaxcpp.transport import kernels
from jaxcpp.transport.path import PathState, start

REPEATS = 5  # of every search; the fastest counts, since others use the machine too
TOGETHER = 64  # contracts of a call, as many as a nightly run solves together
BY_A_PATH = 0.999  # of the tolerance: what a first answer is not good enough for goes by a path

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


def counted(rounds: Any) -> dict[str, float]:
    """Rounds of some contracts."""
    rounds = np.asarray(rounds, float)
    return {
        "rounds_mean": float(rounds.mean()),
        "rounds_median": float(np.median(rounds)),
        "rounds_p99": float(np.quantile(rounds, 0.99)),
        "rounds_most": float(rounds.max()),
    }


def told(run: Run, seconds: float) -> dict[str, Any]:
    """Rounds and seconds of a run."""
    return {**counted(run.contracts["rounds"]), "seconds": seconds, "status": run.status_counts()}


def posed(lane: Lanes, price: jax.Array) -> tuple[Any, PathState, PathState]:
    """One contract as the search takes it; where that begins from nothing, and from last night's price."""
    retailer, vendor, terms = parties(lane)
    buys, ships = retailer.agent(terms), vendor.agent(terms)
    both = buys.side, ships.side, buys.lost_margin, ships.unit_margin
    return both, start(ships.quote()), start(first_price(ships, terms, price)[0])


def searches(fleet: Fleet, tolerance: float, yesterday: Columns | None) -> dict[str, dict[str, float]]:
    """The native search alone, of every contract: rounds, and microseconds a contract."""
    assert yesterday is not None
    found = contracts(fleet, bundles(fleet))
    known = Prices(fleet, found, yesterday)
    rounds: dict[str, list[np.ndarray]] = {"path": [], "cold": [], "warm": []}
    seconds = dict.fromkeys(rounds, 0.0)

    def search(both: Any, state: PathState, strict: jax.Array) -> Any:
        state = eqx.tree_at(lambda s: s.strict, state, strict)
        limit = jnp.asarray(newton.MAX_ROUNDS, jnp.int32)
        ours, theirs, lost_margin, unit_margin = both
        return kernels.follow_joint(
            ours, theirs, lost_margin, unit_margin, state, jnp.asarray(tolerance), limit
        )

    run = jax.jit(jax.vmap(search, in_axes=(0, 0, None)))
    for bucket in Packer(fleet, found).buckets():
        lanes, size = jax.jit(jax.vmap(posed))(bucket.lanes, known.of(bucket)), len(bucket.contract)
        for first in range(0, size, TOGETHER):
            index = np.resize(np.arange(size)[first : first + TOGETHER], TOGETHER)
            both, cold, warm = jax.tree.map(lambda leaf, index=index: leaf[index], lanes)
            count = min(TOGETHER, size - first)
            for name, state, strict in (("path", cold, BY_A_PATH), ("cold", cold, 1.0), ("warm", warm, 1.0)):
                (ended, _), spent = jax.block_until_ready(run(both, state, strict)), []
                for _ in range(REPEATS):
                    begun = time.perf_counter()
                    jax.block_until_ready(run(both, state, strict))
                    spent.append(time.perf_counter() - begun)
                seconds[name] += min(spent) * count / TOGETHER
                rounds[name].append(np.asarray(ended.rounds)[:count])
    return {
        name: {**counted(np.concatenate(each)), "microseconds": 1e6 * seconds[name] / len(found)}
        for name, each in rounds.items()
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
    if jax.default_backend() == "cpu" and kernels.usable(tonight.demand.units):
        rows["search"] = searches(tonight, asked.tolerance, first.prices)
    name = Path(asked.fleet).name
    result = {"fleet": name, "change": asked.change, "tolerance": asked.tolerance, **where(), **rows}
    path = asked.results / f"second-night-{name}-{jax.default_backend()}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for which, row in rows.items():
        print(which, json.dumps(row))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
