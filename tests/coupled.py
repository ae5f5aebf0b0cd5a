"""Random fleets whose contracts are tied together, as tables and as plain problems.

Each product's sources are those of all its vendors, and its capacity serves its own demand; a source
that is shared has the sum of what its products need of it. So every fleet is feasible by construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.fleets import FLAGS, INBOUND, REGIONS, SOURCES, Row, Sample, Size
from tests.oracles.coupled import Coupled, Key, Offer
from tests.oracles.problem import Floats, Problem
from tests.strategies import Options, build


@dataclass(frozen=True)
class Kind:
    """What a random bundle is made of."""

    products: int = 3
    vendors: int = 1
    sources: int = 2  # of a vendor
    inbound: int = 3
    regions: int = 4
    weeks: int = 2
    every: bool = False  # every vendor offers every product
    own: float = 0.0  # part of the sources whose capacity is each product's own
    tight: bool = False
    idle: bool = False  # the last vendor has no capacity at all
    flags: dict[str, bool] | None = None  # of `strategies.Options`; None: at random
    extra: dict[str, Any] = field(default_factory=dict)  # fields of each product's problem to replace


def random_coupled(seed: int, kind: Kind) -> Coupled:
    """One random bundle's problems; it may fall into several connected parts."""
    rng = np.random.default_rng([seed, 7])
    vendors = [f"vendor-{n}" for n in range(kind.vendors)]
    shares = rng.random((kind.vendors, kind.sources)) >= kind.own
    shared = {
        name: np.where(shares[n][:, None], 0.0, np.nan) * np.ones((1, kind.weeks))
        for n, name in enumerate(vendors)
    }
    products, offers = {}, {}
    for p in range(kind.products):
        name = f"p{p:03d}"
        some = np.flatnonzero((rng.random(kind.vendors) < 0.6) | kind.every)
        some = some if len(some) else np.asarray([p % kind.vendors])
        problem = build(_options(rng, kind, len(some) * kind.sources))
        if kind.idle and len(some) > 1:
            problem = _move_to_first(problem, kind.sources)
        products[name] = replace(problem, **kind.extra)
        share = rng.integers(1, 9, len(some)).astype(float)
        share = share / share.sum()
        for at, v in enumerate(some):
            rows = slice(at * kind.sources, (at + 1) * kind.sources)
            capacity = problem.capacity[rows]
            shared[vendors[v]] = shared[vendors[v]] + capacity
            offers[vendors[v], name] = Offer(
                unit_cost=problem.supplier_unit_cost[rows],
                margin=float(rng.uniform(1, 8)),
                holding=problem.supplier_holding,
                own=np.where(shares[v][:, None], np.nan, capacity),
                share=float(share[at]),
            )
    return Coupled(products, offers, shared)


def in_whole_units(coupled: Coupled) -> Coupled:
    """The same with whole demand, stock and capacity, and still with a plan."""
    products = {
        name: replace(one, demand=np.ceil(one.demand), inventory=np.ceil(one.inventory))
        for name, one in coupled.products.items()
    }
    more = sum(float((one.demand - coupled.products[name].demand).sum()) for name, one in products.items())
    offers = {key: replace(offer, own=np.ceil(offer.own + more)) for key, offer in coupled.offers.items()}
    shared = {vendor: np.ceil(units + more) for vendor, units in coupled.shared.items()}
    return Coupled(products, offers, shared)


def _options(rng: np.random.Generator, kind: Kind, sources: int) -> Options:
    flags = {flag: bool(rng.random() < 0.4) for flag in (*FLAGS, "holes")}
    return Options(
        inbound=kind.inbound, regions=kind.regions, sources=sources, weeks=kind.weeks,
        capacity="tight" if kind.tight else "loose", size=int(rng.choice([0, 0, 3, 6])),
        seed=int(rng.integers(2**31)), **{**flags, **(kind.flags or {})},
    )  # fmt: skip


def _move_to_first(problem: Problem, sources: int) -> Problem:
    """All capacity to the first vendor, whose lanes then reach every inbound node."""
    capacity, cost = np.zeros_like(problem.capacity), problem.supplier_unit_cost.copy()
    capacity[0] = problem.capacity.sum(axis=0)
    best = np.where(np.isfinite(cost), cost, 9.0)
    cost[:sources] = best[:sources]
    return replace(problem, capacity=capacity, supplier_unit_cost=cost)


def tables_of(parts: dict[str, Coupled]) -> Sample:
    """A fleet with the bundles of several problems; their names are prefixed by the part's."""
    first = next(iter(next(iter(parts.values())).products.values()))
    sample = Sample(Size(first.inbound, first.regions, len(SOURCES), first.weeks))
    for prefix, coupled in parts.items():
        for name, problem in coupled.products.items():
            _add_product(sample, f"{prefix}{name}", problem)
        for (vendor, name), offer in coupled.offers.items():
            _add_offer(sample, f"{prefix}{vendor}", f"{prefix}{name}", offer)
        for vendor, capacity in coupled.shared.items():
            for (k, week), units in np.ndenumerate(capacity):
                if np.isfinite(units) and coupled.of(vendor):
                    row = {
                        "vendor_id": f"{prefix}{vendor}",
                        "source_id": SOURCES[k],
                        "week": week,
                        "capacity": units,
                    }
                    sample.add(("sources", row))
    return sample


def prefixed(coupled: Coupled, prefix: str) -> Coupled:
    """The same problem under the names it has in the fleet."""
    return Coupled(
        {f"{prefix}{name}": problem for name, problem in coupled.products.items()},
        {(f"{prefix}{vendor}", f"{prefix}{name}"): offer for (vendor, name), offer in coupled.offers.items()},
        {f"{prefix}{vendor}": units for vendor, units in coupled.shared.items()},
    )


def _add_product(sample: Sample, name: str, problem: Problem) -> None:
    ours: Row = {"product_id": name}
    costs = {
        "holding_cost": problem.holding, "backlog_cost": problem.backlog,
        "lost_sale_cost": problem.lost_sale, "leftover_cost": problem.leftover,
    }  # fmt: skip
    known = {column: cost if np.isfinite(cost) else None for column, cost in costs.items()}
    sample.add(("products", {**ours, "weight_kg": 0.0, "margin": problem.margin, **known}))
    for (i, j), cost in np.ndenumerate(problem.unit_cost):
        if np.isfinite(cost):
            sample.add(
                (
                    "outbound_lanes",
                    {**ours, "inbound_id": INBOUND[i], "region_id": REGIONS[j], "unit_cost": cost},
                )
            )
    for (j, week), units in np.ndenumerate(problem.demand):
        if units > 0.0 or (j == 0 and week in (0, problem.weeks - 1)):
            sample.add(("demand", {**ours, "region_id": REGIONS[j], "week": week, "units": units}))
    for i, units in enumerate(problem.inventory):
        if units > 0.0:
            sample.add(("inventory", {**ours, "inbound_id": INBOUND[i], "units": units}))


def _add_offer(sample: Sample, vendor: str, product: str, offer: Offer) -> None:
    ours, theirs = {"product_id": product}, {"vendor_id": vendor}
    sample.add(
        (
            "offers",
            {**theirs, **ours, "margin": offer.margin, "holding_cost": offer.holding, "share": offer.share},
        )
    )
    for (k, i), cost in np.ndenumerate(offer.unit_cost):
        if np.isfinite(cost):
            lane = {**theirs, **ours, "source_id": SOURCES[k], "inbound_id": INBOUND[i], "unit_cost": cost}
            sample.add(("inbound_lanes", lane))
    for (k, week), units in np.ndenumerate(offer.own):
        if np.isfinite(units):
            sample.add(
                ("sources", {**theirs, **ours, "source_id": SOURCES[k], "week": week, "capacity": units})
            )


def units_of(keys: list[Key], like: Floats) -> dict[Key, Floats]:
    """No units for any of some offers."""
    return {key: np.zeros_like(like) for key in keys}
