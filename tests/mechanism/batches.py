"""Random problems in batches of one shape, through `coordinate`, one program a shape and method.

Compiling takes seconds and running takes milliseconds, so lists of any length are padded to full
batches of `LANES`, and every number that a test may want to vary is an argument of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import jax
import numpy as np

from jaxcpp import (
    AdditiveFee,
    Contract,
    DeviationFee,
    MultiplicativeFee,
    Retailer,
    RoiFee,
    Supplier,
    coordinate,
)
from jaxcpp.mechanism.fees import Fee
from jaxcpp.mechanism.status_quo import JustInTime
from tests.oracles import Problem
from tests.oracles.problem import Floats
from tests.strategies import Options, build

Method = Literal["newton", "admm"]
Shape = tuple[int, int, int, int]  # inbound nodes, regions, sources, weeks

METHODS: tuple[Method, ...] = ("newton", "admm")
LANES = 32
FLAGS = ("inventory", "lost_sales", "backlog", "leftovers", "holes", "ties", "zeros")
FEASIBLE = 1e-9
"""Of its volume: what may be missing from a plan that is still called feasible, here and in the oracle."""
ROUNDING = 1e-9
"""Of the money at stake: what sums in float64 may add, here and in HiGHS."""


def parties(problem: Problem) -> tuple[Retailer, Supplier]:
    """Both parties of a problem, with every option given, so that equal shapes share a program."""
    retailer = Retailer(
        problem.unit_cost, problem.demand, problem.margin, holding_cost=problem.holding,
        backlog_cost=problem.backlog, lost_sale_cost=problem.lost_sale, leftover_cost=problem.leftover,
        inventory=problem.inventory,
    )  # fmt: skip
    supplier = Supplier(
        problem.supplier_unit_cost, problem.capacity, problem.supplier_margin,
        holding_cost=problem.supplier_holding,
    )  # fmt: skip
    return retailer, supplier


def stack(trees: Sequence[Any]) -> Any:
    """Trees of one structure as one with a leading lane axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def lane(contract: Contract, index: int) -> Contract:
    """One lane of a batch."""
    return jax.tree.map(lambda leaf: leaf[index], contract)


def additive(numbers: Any) -> Fee:
    """A fee from numbers: alpha, beta, rate, over, under."""
    return AdditiveFee(numbers[0])


def weighted(numbers: Any) -> Fee:
    """Likewise, with a share of the transfer."""
    return AdditiveFee(numbers[0]) + MultiplicativeFee(numbers[1])


def ex_post(numbers: Any) -> Fee:
    """Likewise, with a share of the efficient plan's transfer."""
    return AdditiveFee(numbers[0]) + RoiFee(numbers[2], "efficient")


def deviating(numbers: Any) -> Fee:
    """Likewise, with charges away from just-in-time."""
    return DeviationFee(numbers[3], numbers[4])


def everything(numbers: Any) -> Fee:
    """Likewise, all fees at once."""
    return weighted(numbers) + RoiFee(numbers[2], "efficient") + deviating(numbers)


@cache
def program(
    method: Method, make: Callable[[Any], Fee] = AdditiveFee, just_in_time: JustInTime = "obliged"
) -> Callable[..., Contract]:
    """`coordinate` over lanes: parties and what `make` makes a fee of by lane, one tolerance."""

    def one(retailer: Retailer, supplier: Supplier, numbers: Any, tolerance: jax.Array) -> Contract:
        fee = make(numbers)
        return coordinate(
            retailer, supplier, fee, tolerance=tolerance, method=method, just_in_time=just_in_time
        )

    return jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None)))


def solve(
    problems: Sequence[Problem],
    alpha: float | Floats = 0.0,
    tolerance: float = 1e-6,
    method: Method = "newton",
    make: Callable[[Any], Fee] = AdditiveFee,
    just_in_time: JustInTime = "obliged",
) -> Contract:
    """Contracts of problems of one shape, with numpy leaves and a leading lane axis.

    `alpha` is the additive fee of each, or the numbers (lane, ...) that `make` makes fees of.
    """
    numbers = np.asarray(alpha, np.float64)
    alphas = np.broadcast_to(numbers, (len(problems), *numbers.shape[1:]))
    both = [parties(problem) for problem in problems]
    parts = []
    for first in range(0, len(problems), LANES):
        index = np.arange(first, first + LANES)
        index[index >= len(problems)] = first
        batch = stack([both[i] for i in index])
        run = program(method, make, just_in_time)
        contract = run(*batch, alphas[index], np.float64(tolerance))
        keep = min(LANES, len(problems) - first)
        parts.append(jax.tree.map(lambda leaf, keep=keep: np.asarray(leaf)[:keep], contract))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def draws(shape: Shape, count: int, seed: int = 0) -> list[Options]:
    """Options of one shape with every flag on or off, a third of them without capacity to spare."""
    inbound, regions, sources, weeks = shape
    found = []
    for number in range(count):
        rng = np.random.default_rng([seed, number, *shape])
        found.append(
            Options(
                inbound,
                regions,
                sources,
                weeks,
                capacity="tight" if rng.random() < 0.3 else "loose",
                size=int(rng.choice([0, 0, 4, 12])),
                seed=int(rng.integers(2**31)),
                **{flag: bool(rng.random() < 0.5) for flag in FLAGS},
            )
        )
    return found


def problems_of(shape: Shape, count: int, seed: int = 0) -> list[Problem]:
    """Random problems of one shape."""
    return [build(options) for options in draws(shape, count, seed)]


def padded(problem: Problem, inbound: int, regions: int, sources: int) -> Problem:
    """The same problem with closed nodes, idle regions and idle sources at its end."""
    nodes, areas, plants = inbound - problem.inbound, regions - problem.regions, sources - problem.sources
    return replace(
        problem,
        unit_cost=np.pad(problem.unit_cost, ((0, nodes), (0, areas)), constant_values=np.inf),
        demand=np.pad(problem.demand, ((0, areas), (0, 0))),
        supplier_unit_cost=np.pad(
            problem.supplier_unit_cost, ((0, plants), (0, nodes)), constant_values=np.inf
        ),
        capacity=np.pad(problem.capacity, ((0, plants), (0, 0))),
        inventory=np.pad(problem.inventory, (0, nodes)),
    )


def dearest(problem: Problem) -> float:
    """More than any unit can cost or earn on its way through the chain [currency / unit]."""
    lanes = [cost[np.isfinite(cost)] for cost in (problem.unit_cost, problem.supplier_unit_cost)]
    limits = problem.backlog, problem.lost_sale, problem.leftover
    rates = [rate if np.isfinite(rate) else 0.0 for rate in limits]
    return float(
        sum(cost.max(initial=0.0) for cost in lanes)
        + problem.margin
        + problem.supplier_margin
        + sum(rates)
        + problem.weeks * (problem.holding + problem.supplier_holding + rates[0])
    )


def stake(problem: Problem) -> float:
    """All the money that passes through a contract, at most [currency]."""
    return dearest(problem) * float(problem.demand.sum() + problem.capacity.sum() + problem.inventory.sum())


def rounding(problem: Problem) -> float:
    """What float64 sums may be off by [currency]."""
    return ROUNDING * stake(problem)


def slack(problem: Problem) -> float:
    """What an exact utility at a plan may be off by that misses feasibility by `FEASIBLE` [currency].

    The oracle looks for the best plan within that distance of the given one at every node, and a
    unit more or less is worth no more than the dearest way.
    """
    nodes = problem.inbound * problem.weeks
    return FEASIBLE * nodes * dearest(problem) * float(problem.demand.sum()) + rounding(problem)
