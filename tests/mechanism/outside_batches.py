"""A batch of random contracts with outside twins on one side or both."""

from __future__ import annotations

from functools import cache

import numpy as np

import jaxcpp as cpp
from tests.mechanism.batches import parties
from tests.oracles.problem import Problem
from tests.outside_twins import RETAILERS, SUPPLIERS
from tests.strategies import Options, build

MONEY = 3.0
ALPHA = 0.25
LANES = 4


@cache
def problems(inbound: int = 3, weeks: int = 1) -> tuple[Problem, ...]:
    return tuple(
        build(Options(inbound=inbound, regions=4, sources=3, weeks=weeks, seed=seed)) for seed in range(LANES)
    )


def volume(batch):
    return np.array([problem.demand.sum() for problem in batch])


def starts(batch):
    nodes = batch[0].inbound * batch[0].weeks
    return volume(batch)[:, None] * np.full((1, nodes), 1.0 / nodes)


def solved(ours, kind, supplier=None, batch=None, **options):
    """Contracts of a batch with a retailer `ours` or outside of a kind, and a supplier of a kind."""
    batch = problems() if batch is None else batch
    seller = SUPPLIERS[kind](batch, "supplier") if supplier is None else supplier
    fee = cpp.AdditiveFee(ALPHA)
    if ours == "ours":
        return cpp.coordinate_outside([parties(problem)[0] for problem in batch], seller, fee, **options)
    buyer = RETAILERS[ours](batch, "retailer") if isinstance(ours, str) else ours
    return cpp.coordinate_outside(buyer, seller, fee, start=starts(batch), money=MONEY, **options)
