"""A reverse pass beside a solve from a warm start, in the same run: `python -m bench gradients --size S`.

The gradient is compared with central differences first; nothing is timed unless they agree. What a reverse
pass keeps in memory is counted at two smoothings, of which one takes many more rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bench.cases import CASES, Instances, generate
from bench.machine import where
from jaxcpp import AdditiveFee, Retailer, Supplier, coordinate
from jaxcpp.consensus import newton
from jaxcpp.mechanism.terms import frame, money
from jaxcpp.transport import implicit, path

RESULTS = Path(__file__).resolve().parent / "results"
SMOOTHING = 0.05  # currency / unit; lanes cost 1 to 6
FINE = 0.001  # likewise: more stages, more rounds
MOVED = 0.01  # relative change of demand between the known solution and the one that starts from it
STEP, AGREE = 1e-4, 1e-5


def one_price(retailer: Retailer, supplier: Supplier, smoothing: jax.Array) -> jax.Array:
    """The price of one smoothed contract."""
    return coordinate(retailer, supplier, AdditiveFee(1.0), smoothing=smoothing).price


def search_alone(
    retailer: Retailer, supplier: Supplier, price: jax.Array, smoothing: jax.Array
) -> path.PathState:
    """The joint plan's search alone, without status quo and transfer, from a price."""
    terms = frame(retailer, supplier, money(retailer, supplier))
    buys, ships = retailer.agent(terms), supplier.agent(terms)
    return implicit.search(newton.evaluate(buys, ships), price, smoothing / terms.money)


def seconds(run: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each repetition, the first and compiling one left out."""
    jax.block_until_ready(run())
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        taken.append(time.perf_counter() - begun)
    return taken


def main(arguments: list[str] | None = None) -> int:
    """Check, time, write; 1 where the gradient is not that of the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=("S", "M", "L"), default="S")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", True)

    retailer, supplier = parties(generate(CASES[asked.size], asked.batch))
    every = (0, 0, None)
    prices_of = jax.vmap(one_price, in_axes=every)
    run, smoothing = jax.jit(prices_of), jnp.asarray(SMOOTHING)
    forward = jax.jit(lambda r, s, amount: jax.vjp(lambda a, b: prices_of(a, b, amount), r, s))
    prices, pull = forward(retailer, supplier, smoothing)
    back = jax.jit(lambda f, w: f(w))
    ones = jnp.ones_like(prices)
    slopes = back(pull, ones)[0].demand

    along = retailer.demand * np.random.default_rng(1).normal(size=retailer.demand.shape)

    def at(step: float) -> jax.Array:
        return run(with_demand(retailer, retailer.demand + step * along), supplier, smoothing)

    numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP)
    wrong = np.abs(np.sum(slopes * along, axis=1) - numeric) / (np.abs(numeric) + 1.0)
    print(f"gradient against differences: at most {wrong.max():.1e} off")  # noqa: T201
    if wrong.max() > AGREE:
        return 1

    search = jax.jit(jax.vmap(search_alone, in_axes=(0, 0, 0, None)))
    nothing = jnp.zeros((asked.batch, retailer.unit_cost.shape[1] * retailer.weeks))
    known = search(retailer, supplier, nothing, smoothing)
    near = with_demand(retailer, retailer.demand * (1.0 + MOVED))
    times = {
        "contract": seconds(lambda: run(near, supplier, smoothing), asked.repeats),
        "warm_search": seconds(lambda: search(near, supplier, known.price, smoothing), asked.repeats),
        "reverse": seconds(lambda: back(pull, ones), asked.repeats),
    }
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    memory = [
        {
            "smoothing": amount,
            "rounds": int(jnp.sum(search(retailer, supplier, nothing, jnp.asarray(amount)).rounds)),
            "kept_bytes": sum(
                leaf.nbytes for leaf in jax.tree.leaves(forward(retailer, supplier, jnp.asarray(amount))[1])
            ),
        }
        for amount in (SMOOTHING, FINE)
    ]
    result = {
        "size": asked.size, "batch": asked.batch, "smoothing": SMOOTHING, "seconds": times,
        "worst_relative_error": float(wrong.max()),
        "reverse_over_warm_search": middle["reverse"] / middle["warm_search"],
        "reverse_over_contract": middle["reverse"] / middle["contract"],
        "warm_rounds": int(jnp.sum(search(near, supplier, known.price, smoothing).rounds)),
        "memory": memory,
        "device": f"{jax.devices()[0].device_kind} ({jax.default_backend()})", "jax": jax.__version__,
        **where(),
    }  # fmt: skip
    name = f"gradients-{asked.size}-{asked.batch}-{jax.default_backend()}.json"
    (RESULTS / name).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for key, taken in middle.items():
        print(f"{key:12} {1e3 * taken:9.2f} ms")  # noqa: T201
    print(f"reverse over warm search {result['reverse_over_warm_search']:.2f}")  # noqa: T201
    for facts in memory:
        print("{kept_bytes:,} bytes kept after {rounds:,} rounds".format(**facts))  # noqa: T201
    return 0


def parties(cases: Instances) -> tuple[Retailer, Supplier]:
    """Both sides of a batch of contracts over one week."""

    def buys(cost: jax.Array, demand: jax.Array) -> Retailer:
        return Retailer(cost, demand, 8.0)

    def ships(cost: jax.Array, capacity: jax.Array) -> Supplier:
        return Supplier(cost, capacity, 8.0)

    return (
        jax.vmap(buys)(jnp.asarray(cases.unit_cost), jnp.asarray(cases.demand[:, :, 0])),
        jax.vmap(ships)(jnp.asarray(cases.supplier_unit_cost), jnp.asarray(cases.capacity[:, :, 0])),
    )


def with_demand(retailer: Retailer, demand: jax.Array) -> Retailer:
    """The same retailers, another demand."""
    changed: Retailer = eqx.tree_at(lambda r: r.demand, retailer, demand)
    return changed


if __name__ == "__main__":
    sys.exit(main())
