"""What every vendor's absence costs to work out, warm and cold: `python -m bench counterfactuals --size S`.

Contracts of one product that several vendors ship. The full run is solved once; then each vendor's
counterfactual, all as lanes of one batch, from the full run's price (warm) and from the vendors' quotes
(cold). Their brackets must overlap before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.cases import CASES, Instances, generate
from bench.machine import where
from bench.peers.jaxcpp_batch import settle_backend
from bench.stored import RESULTS
from jaxcpp.agents.bundle import Catalogue, Frame, Vendors
from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.mechanism import bundle, several

BATCHES = {"S": 64, "M": 16, "L": 4, "W": 4}
LOST_SALE = 20.0
"""Currency a unit not served: dearer than any lane, and so that a vendor can be missed."""
ROUNDING = 1e-9
"""Of a counterfactual's cost: what two brackets of it may miss each other by."""


def parties(instances: Instances, vendors: int) -> tuple[Catalogue, Vendors]:
    """A batch of contracts whose sources belong to `vendors` in turn; margins do not matter."""
    each = [_contract(instances, at, vendors) for at in range(len(instances))]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def _contract(instances: Instances, at: int, vendors: int) -> tuple[Catalogue, Vendors]:
    case = instances.case
    one, asked = jnp.ones(1), jnp.asarray(instances.demand[at].reshape(1, -1))
    catalogue = Catalogue(
        outbound=jnp.asarray(np.repeat(instances.unit_cost[at], case.weeks, axis=1)[None]),
        demand=asked, week=jnp.tile(jnp.arange(case.weeks, dtype=jnp.int32), case.regions)[None],
        left=jnp.zeros(asked.shape, bool), product=jnp.zeros(1, jnp.int32), margin=0.0 * one,
        holding=instances.holding * one, backlog=instances.backlog * one, lost_sale=LOST_SALE * one,
        leftover=jnp.inf * one, inventory=jnp.zeros((1, case.inbound)),
    )  # fmt: skip
    shipping = Vendors(
        slot=jnp.arange(vendors, dtype=jnp.int32)[None], margin=jnp.zeros((1, vendors)),
        holding=jnp.full((1, vendors), instances.supplier_holding),
        own=jnp.zeros((1, vendors, 0, case.inbound)), own_capacity=jnp.zeros((1, vendors, 0, case.weeks)),
        shared=jnp.asarray(instances.supplier_unit_cost[at])[None],
        draws=jnp.ones((1, case.sources, case.weeks), bool), capacity=jnp.asarray(instances.capacity[at]),
        owner=jnp.arange(case.sources, dtype=jnp.int32) % vendors, count=vendors,
    )  # fmt: skip
    return catalogue, shipping


def orders(instances: Instances, vendors: int) -> np.ndarray:
    """Just-in-time by vendor, flat (batch, vendor x inbound x week) [units]: as capacity, node by node.

    Every region orders through its cheapest inbound node, in the week of its demand.
    """
    batch, inbound, _ = instances.unit_cost.shape
    cheapest = np.argmin(instances.unit_cost, axis=1)
    chosen = (cheapest[:, None, :] == np.arange(inbound)[None, :, None]).astype(float)
    ordered = chosen @ instances.demand
    owner = np.arange(instances.case.sources) % vendors
    has = np.stack([instances.capacity[:, owner == v].sum(axis=1) for v in range(vendors)], axis=1)
    share = has / has.sum(axis=1, keepdims=True)
    return (share[:, :, None, :] * ordered[:, None]).reshape(batch, -1)


@partial(jax.jit, static_argnames="limit")
def together(
    catalogue: Catalogue, vendors: Vendors, tolerance: Any, limit: int
) -> tuple[Frame, Outcome, Any]:
    """The full run of every contract, and its rounds."""

    def one(retailer: Catalogue, ships: Vendors) -> tuple[Frame, Outcome, Any]:
        lanes = retailer.outbound.reshape(-1), ships.shared.reshape(-1)
        known = bundle.frame(retailer, ships, jnp.median(jnp.concatenate(lanes)))
        buys, sells = bundle.agents(retailer, ships, known)
        state, outcome = bundle.agree(buys, sells, bundle.begin(buys, sells), tolerance, limit)
        return known, outcome, state.rounds

    return jax.vmap(one)(catalogue, vendors)


@partial(jax.jit, static_argnames=("limit", "how", "warm"))
def apart(
    catalogue: Catalogue, vendors: Vendors, known: Frame, order: Any, outcome: Outcome, tolerance: Any,
    limit: int, how: several.Absent, warm: bool,
) -> several.Without:  # fmt: skip
    """Every vendor's counterfactual of every contract."""

    def one(retailer: Catalogue, ships: Vendors, terms: Frame, lines: Any, full: Outcome) -> several.Without:
        return several.absent(retailer, ships, terms, lines, full, tolerance, limit, how=how, warm=warm)[0]

    return jax.vmap(one)(catalogue, vendors, known, order, outcome)


def disagreements(found: dict[str, several.Without]) -> list[str]:
    """What is wrong with the brackets, in words: those of one counterfactual hold the same number."""
    warm, cold = found["warm"], found["cold"]
    scale = ROUNDING * np.abs(cold.cost)
    low, high = np.maximum(warm.bound, cold.bound), np.minimum(warm.cost, cold.cost)
    beyond = float(np.max(low - high - scale))
    return [f"brackets of a counterfactual miss each other by {beyond:.1e}"] if beyond > 0.0 else []


def main(arguments: list[str] | None = None) -> int:
    """Check, time and store one comparison; 1 where the answers disagree."""
    options = _options(arguments)
    settle_backend()
    instances = generate(CASES[options.size], options.batch, options.seed)
    catalogue, vendors = parties(instances, options.vendors)
    order, target = jnp.asarray(orders(instances, options.vendors)), jnp.asarray(options.tolerance)
    limit = newton.MAX_ROUNDS
    known, outcome, rounds = together(catalogue, vendors, target, limit)

    def run(warm: bool) -> several.Without:
        return jax.block_until_ready(
            apart(catalogue, vendors, known, order, outcome, target, limit, options.absent, warm)
        )

    found = {name: jax.device_get(run(name == "warm")) for name in ("warm", "cold")}
    wrong = disagreements(found)
    if wrong:
        sys.stderr.write("nothing is timed:\n  " + "\n  ".join(wrong) + "\n")
        return 1
    full = partial(together, catalogue, vendors, target, limit)
    seconds = {
        "full": _time(lambda: jax.block_until_ready(full()), options.repeats),
        "warm": _time(lambda: run(True), options.repeats),
        "cold": _time(lambda: run(False), options.repeats),
    }
    rows = [_row("full", np.asarray(rounds), seconds["full"], float(jnp.mean(outcome.certified(target))))]
    for name, part in found.items():
        sure = np.mean(part.cost - part.bound <= options.tolerance * np.maximum(part.spend, 1e-6))
        rows.append(_row(name, part.rounds, seconds[name], float(sure)))
    stored = _store(options, rows)
    sys.stdout.write("".join(json.dumps(row) + "\n" for row in rows))
    sys.stderr.write(f"written to {stored}\n")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench counterfactuals", description=__doc__)
    parser.add_argument("--size", choices=sorted(CASES), default="S")
    parser.add_argument("--batch", type=int, help="contracts (default: by size)")
    parser.add_argument("--vendors", type=int, default=3)
    parser.add_argument("--absent", choices=("jit", "excluded"), default="jit")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--repeats", type=int, default=3, help="timed repetitions; the median counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the stored result")
    options = parser.parse_args(arguments)
    options.batch = options.batch or BATCHES[options.size]
    return options


def _time(run: Callable[[], Any], repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return seconds


def _row(name: str, rounds: np.ndarray, seconds: list[float], certified: float) -> dict[str, Any]:
    """One kind of run: rounds (mean, median, 99 %, most) and seconds of the whole batch."""
    quantiles = [int(np.quantile(rounds, q, method="higher")) for q in (0.5, 0.99, 1.0)]
    return {
        "runs": name,
        "lanes": int(rounds.size),
        "certified": certified,
        "rounds_mean": round(float(np.mean(rounds)), 2),
        "rounds": quantiles,
        "seconds_median": statistics.median(seconds),
        "seconds": seconds,
    }


def _store(options: argparse.Namespace, rows: list[dict[str, Any]]) -> Path:
    device = jax.devices()[0]
    name = (
        f"counterfactuals-{options.size}-{options.batch}x{options.vendors}-{options.absent}-{device.platform}"
    )
    asked = ("batch", "vendors", "absent", "seed", "tolerance", "repeats")
    document = {
        "case": asdict(CASES[options.size]),
        **{key: getattr(options, key) for key in asked},
        "device": f"{device.platform} {device.device_kind}",
        **where(),
        "rows": rows,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path: Path = options.results / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
