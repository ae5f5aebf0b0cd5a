"""Derivatives of contracts beside central differences, leaf by leaf, for batches of random contracts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxcpp import AdditiveFee, DeviationFee, MultiplicativeFee, Retailer, RoiFee, Supplier, coordinate
from jaxcpp.mechanism.fees import Fee
from tests.mechanism.batches import parties, stack
from tests.strategies import Options, build

SHAPE = (2, 3, 2, 2)  # inbound nodes, regions, sources, weeks
LEAVES = {
    "retailer": (
        "unit_cost", "demand", "margin", "holding_cost", "backlog_cost", "lost_sale_cost", "leftover_cost",
        "inventory",
    ),
    "supplier": ("unit_cost", "capacity", "margin", "holding_cost"),
    "fee": ("alpha", "beta", "rate", "over", "under"),
}  # fmt: skip
"""Every number of both parties and of all fees together."""

Params = dict[str, dict[str, Any]]


def fee_of(numbers: dict[str, Any]) -> Fee:
    """All fees at once."""
    shares = MultiplicativeFee(numbers["beta"]) + RoiFee(numbers["rate"])
    return AdditiveFee(numbers["alpha"]) + shares + DeviationFee(numbers["over"], numbers["under"])


def contracts(count: int, seed: int, **flags: Any) -> tuple[Params, tuple[Retailer, Supplier]]:
    """Numbers of random contracts by leaf, and the parties that they are put into."""
    rng = np.random.default_rng(seed)
    inbound, regions, sources, weeks = SHAPE
    lanes = [
        parties(build(Options(inbound, regions, sources, weeks, seed=int(rng.integers(2**31)), **flags)))
        for _ in range(count)
    ]
    retailer, supplier = stack([lane[0] for lane in lanes]), stack([lane[1] for lane in lanes])
    return numbers_of(retailer, supplier, seed), (retailer, supplier)


def numbers_of(retailer: Retailer, supplier: Supplier, seed: int) -> Params:
    """A batch's numbers by leaf, with random fees of all kinds."""
    rng = np.random.default_rng([seed, 1])
    count, inbound, weeks = len(retailer.demand), retailer.unit_cost.shape[1], retailer.weeks
    return {
        "retailer": {name: getattr(retailer, name) for name in LEAVES["retailer"]},
        "supplier": {name: getattr(supplier, name) for name in LEAVES["supplier"]},
        "fee": {
            "alpha": rng.uniform(0.0, 2.0, count),
            "beta": rng.uniform(0.0, 0.5, count),
            "rate": rng.uniform(0.0, 0.3, count),
            "over": rng.uniform(0.2, 1.0, (count, inbound, weeks)),
            "under": rng.uniform(0.0, 0.2, (count, inbound, weeks)),
        },
    }


def _with(party: Any, names: tuple[str, ...], numbers: dict[str, Any]) -> Any:
    def chosen(one: Any) -> list[Any]:
        return [getattr(one, name) for name in names]

    return eqx.tree_at(chosen, party, [numbers[name] for name in names])


def outputs(params: Params, both: Any, **options: Any) -> jax.Array:
    """Price, transfer, gain, fee, surplus, efficiency lost and the plan of one contract."""
    retailer, supplier = (
        _with(one, LEAVES[party], params[party])
        for one, party in zip(both, ("retailer", "supplier"), strict=True)
    )
    made = coordinate(retailer, supplier, fee_of(params["fee"]), **options)
    numbers = made.price, made.cbt, made.gain, made.fee, made.supplier_surplus, made.efficiency_lost
    return jnp.concatenate([jnp.stack(numbers), made.plan.reshape(-1)])


def push(params: Params, both: Any, along: Params, **options: Any) -> jax.Array:
    """How the outputs of one contract change along a direction, in forward mode."""
    return jax.jvp(lambda at: outputs(at, both, **options), (params,), (along,))[1]


def directions(params: Params, seed: int) -> list[tuple[str, Params]]:
    """One random direction for every leaf, nothing in all others.

    A number moves in proportion to itself: what is nothing or infinite stays so.
    """
    rng = np.random.default_rng(seed)
    found = []
    for party, leaves in params.items():
        for name, values in leaves.items():
            zero = jax.tree.map(lambda leaf: np.zeros(np.shape(leaf)), params)
            along = rng.normal(size=np.shape(values))
            if (party, name) == ("retailer", "unit_cost"):  # kept by week, and the same in all of them
                along = np.repeat(along[..., :: SHAPE[3]], SHAPE[3], axis=-1)
            zero[party][name] = along * np.where(np.isfinite(values), values, 0.0)
            found.append((f"{party}.{name}", zero))
    return found


def moved(params: Params, along: Params, step: float) -> Params:
    """The numbers a step further."""
    return jax.tree.map(lambda a, b: a + step * b, params, along)


def by_lane(one: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """One program for a batch of contracts."""
    return jax.jit(jax.vmap(lambda *args: one(*args, **options)))
