"""Smoothed contracts' derivatives beside cvxpylayers': `python -m bench gradient-oracle`.

The plan is posed once more as a conic program, smoothing included (relative entropies), solved and
differentiated by cvxpylayers; orders and costs of a plan are written down in closed form. Nothing of
`jaxcpp` is used on that side.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cvxpy as cp
import cvxpylayers
import jax
import jax.numpy as jnp
import numpy as np
from cvxpylayers.jax import CvxpyLayer

from bench.machine import where
from jaxcpp import DeviationFee, MultiplicativeFee, Retailer, Supplier, coordinate

RESULTS = Path(__file__).resolve().parent / "results"
NODES, REGIONS, SOURCES, CONTRACTS = 3, 4, 2, 3
SMOOTHING, MARGIN = 0.5, 20.0  # currency / unit
SHARE, OVER, UNDER = 0.2, 0.4, 0.3
AGREE = 3e-4  # the conic solver's own accuracy
SOLVER = {"solve_method": "SCS", "eps": 1e-11, "max_iters": 200_000}
NAMES = ("buying", "shipping", "demand", "capacity")

Numbers = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def numbers(seed: int) -> Numbers:
    """Lanes of both parties [currency / unit], demand and capacity [units]."""
    rng = np.random.default_rng(seed)
    demand = rng.uniform(1.0, 3.0, REGIONS)
    return (
        jnp.asarray(rng.uniform(1.0, 5.0, (NODES, REGIONS))),
        jnp.asarray(rng.uniform(1.0, 5.0, (SOURCES, NODES))),
        jnp.asarray(demand),
        jnp.asarray(demand.sum() * rng.uniform(0.8, 1.2, SOURCES)),
    )


def ours(buying: jax.Array, shipping: jax.Array, demand: jax.Array, capacity: jax.Array) -> jax.Array:
    """The price under a share of the transfer and charges on deviations."""
    fee = MultiplicativeFee(SHARE) + DeviationFee(OVER, UNDER)
    parties = Retailer(buying, demand, MARGIN), Supplier(shipping, capacity, MARGIN)
    return coordinate(*parties, fee, smoothing=SMOOTHING).price


def conic() -> Callable[..., Any]:
    """The vendor's choice on the schedule: retailer's flows and plan as functions of all numbers."""
    buying, shipping = cp.Parameter((NODES, REGIONS)), cp.Parameter((SOURCES, NODES))
    demand, capacity = cp.Parameter(REGIONS, nonneg=True), cp.Parameter(SOURCES, nonneg=True)
    order, total = cp.Parameter(NODES, nonneg=True), cp.Parameter(nonneg=True)
    taken, shipped = cp.Variable((NODES, REGIONS)), cp.Variable((SOURCES, NODES))
    idle, kept, more = cp.Variable(SOURCES), cp.Variable(NODES), cp.Variable(NODES)

    def spread(flows: Any, mass: Any) -> Any:
        return SMOOTHING * cp.sum(cp.rel_entr(flows, mass))

    most = cp.multiply(total, np.ones(NODES))
    retailer = cp.sum(cp.multiply(buying, taken)) + sum(spread(taken[i], demand) for i in range(NODES))
    supplier = cp.sum(cp.multiply(shipping, shipped)) + spread(idle, capacity)
    supplier += sum(spread(shipped[:, i], capacity) for i in range(NODES))
    toll = OVER * cp.sum(more) + UNDER * cp.sum(order - kept)
    toll += spread(kept, order) + spread(order - kept, order) + spread(more, most) + spread(most - more, most)
    plan = cp.sum(taken, axis=1)
    problem = cp.Problem(
        cp.Minimize((1.0 + SHARE) * retailer + supplier + toll),
        [
            cp.sum(taken, axis=0) == demand,
            plan == cp.sum(shipped, axis=0),
            plan == kept + more,
            cp.sum(shipped, axis=1) + idle == capacity,
        ],
    )
    layer = CvxpyLayer(
        problem, parameters=[buying, shipping, demand, capacity, order, total], variables=[taken]
    )
    solved: Callable[..., Any] = layer
    return solved


def theirs(layer: Callable[..., Any]) -> Callable[..., jax.Array]:
    """The same price by the conic program."""

    def price(buying: jax.Array, shipping: jax.Array, demand: jax.Array, capacity: jax.Array) -> jax.Array:
        weights = jax.nn.softmax(-buying / SMOOTHING, axis=0)
        order = weights @ demand
        alone = -SMOOTHING * jax.scipy.special.logsumexp(-buying / SMOOTHING, axis=0) @ demand
        (taken,) = layer(buying, shipping, demand, capacity, order, jnp.sum(demand), solver_args=SOLVER)
        living = jnp.sum(taken * (buying + SMOOTHING * jnp.log(taken / demand)))
        apart = jnp.sum(taken, axis=1) - order
        charged = OVER * jnp.sum(jnp.maximum(apart, 0.0)) + UNDER * jnp.sum(jnp.maximum(-apart, 0.0))
        return (1.0 + SHARE) * (living - alone) + charged

    return price


def main(arguments: list[str] | None = None) -> int:
    """Compare, write; 1 where they differ."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    jax.config.update("jax_enable_x64", True)
    other = theirs(conic())
    rows: list[dict[str, float]] = []
    every = tuple(range(len(NAMES)))
    slope = jax.jit(jax.value_and_grad(ours, argnums=every))
    for seed in itertools.count():
        at = numbers(seed)
        price, by = slope(*at)
        if price == 0.0:
            continue  # just-in-time is best: nothing is asked, and no derivative is left
        if len(rows) == CONTRACTS:
            break
        expected, wanted = jax.value_and_grad(other, argnums=every)(*at)
        row: dict[str, float] = {"seed": seed, "price": float(price), "their_price": float(expected)}
        for name, mine, oracle in zip(NAMES, by, wanted, strict=True):
            off = np.abs(np.asarray(mine) - np.asarray(oracle)).max() / np.abs(np.asarray(oracle)).max()
            row[name] = float(off)
        rows.append(row)
        print({name: f"{value:.3g}" for name, value in row.items()})  # noqa: T201
    worst = max(row[name] for row in rows for name in NAMES)
    facts = {
        "agree": AGREE,
        "smoothing": SMOOTHING,
        "worst_relative_error": worst,
        "cvxpylayers": cvxpylayers.__version__,
    }
    result = {**facts, "contracts": rows, **where()}
    path = RESULTS / "gradient-oracle.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return int(worst > AGREE)


if __name__ == "__main__":
    raise SystemExit(main())
