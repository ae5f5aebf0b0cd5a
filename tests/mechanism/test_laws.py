"""What must hold of every contract, whatever its numbers: Hypothesis draws them, the shape is fixed.

One example is one full batch, which costs milliseconds once its program is compiled. Allowances are
the contract's own certificates, doubled where two contracts are compared, and rounding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcpp import Contract
from tests.mechanism.batches import LANES, Shape, draws, lane, padded, rounding, solve
from tests.oracles import Problem
from tests.strategies import Options, build

SMALL: Shape = (2, 3, 2, 3)
LARGE: Shape = (4, 5, 3, 3)
TOLERANCE = 1e-6
Case = tuple[Problem, Contract]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Problems of the small shape with any option on or off."""
    flags = {
        name: draw(st.booleans())
        for name in ("inventory", "lost_sales", "backlog", "leftovers", "holes", "ties", "zeros")
    }
    capacity: Literal["loose", "tight"] = draw(st.sampled_from(("loose", "tight")))
    return build(
        Options(
            *SMALL,
            capacity=capacity,
            size=draw(st.sampled_from((0, 4, 12))),
            seed=draw(st.integers(0, 2**20)),
            **flags,
        )
    )


batches = st.lists(problems(), min_size=LANES, max_size=LANES)
examples = settings(max_examples=10)


def bracket(problem: Problem, contract: Contract) -> float:
    """How far the just-in-time costs may be from the best for the same plan: solved to the tolerance."""
    spent = contract.retailer.cost_jit + contract.supplier.cost_jit + contract.chain_cost
    return TOLERANCE * float(spent) + rounding(problem)


def served(problem: Problem, contract: Contract) -> bool:
    """Whether the retailer can live without coordination: a gain over nothing is no number."""
    return bool(contract.filled) or bool(np.isfinite(problem.lost_sale))


def error(contract: Contract) -> float:
    return float(contract.certificate.efficiency_gap + contract.certificate.price_error)


@examples
@given(batches)
def test_nobody_loses_and_the_transfer_is_a_cost(drawn):
    """The transfer and the gain are never negative beyond what is uncertain."""
    contracts = solve(drawn)
    for index, problem in enumerate(drawn):
        contract = lane(contracts, index)
        uncertain = error(contract) + bracket(problem, contract)
        assert contract.cbt >= -contract.certificate.price_error - rounding(problem), problem
        if served(problem, contract):
            assert contract.gain >= -uncertain, problem
        assert contract.status in ("accepted", "declined", "no_gain"), problem
        if contract.accepted:
            assert contract.supplier_surplus > 0.0


@examples
@given(batches, st.floats(0.0, 50.0))
def test_the_retailer_and_the_principal_keep_the_stand_alone_utility(drawn, alpha):
    """With two parties, the plan's utility and the transfer are worth what just-in-time was: the gain is
    the supplier's, less the fee. Where the order is filled, that is the retailer's status quo."""
    contracts = solve(drawn, alpha)
    for index, problem in enumerate(drawn):
        contract = lane(contracts, index)
        if not contract.filled:
            continue
        kept = contract.retailer.utility_plan + contract.cbt - contract.retailer.utility_jit
        assert abs(kept) <= rounding(problem), problem
        assert abs(contract.supplier_surplus - (contract.gain - contract.fee)) <= rounding(problem), problem


@examples
@given(problems(), st.floats(1.0, 100.0))
def test_a_higher_fee_changes_participation_only(problem, top):
    """Same plan and transfer at every fee; the price rises by the fee; once declined, always declined."""
    fees = np.linspace(0.0, top, LANES)
    contracts = solve([problem] * LANES, fees)
    np.testing.assert_array_equal(contracts.plan, np.broadcast_to(contracts.plan[0], contracts.plan.shape))
    np.testing.assert_array_equal(contracts.cbt, np.full(LANES, contracts.cbt[0]))
    charged = fees if contracts.status[0] != "no_gain" else np.zeros(LANES)
    np.testing.assert_array_equal(contracts.fee, charged)
    np.testing.assert_allclose(
        contracts.price, contracts.cbt[0] + charged, rtol=1e-15, atol=rounding(problem)
    )
    assert (np.diff(contracts.accepted.astype(int)) <= 0).all()
    assert (contracts.paid == np.where(contracts.accepted, contracts.price, 0.0)).all()


def assert_same(problem: Problem, one: Contract, other: Contract, unit: float = 1.0) -> None:
    """`other` is `one` with its currency, or all its quantities, in another unit.

    Best plans need not be unique, and so neither are transfers. What the chain earns is, and with it
    what the supplier keeps: its utility less its transfer is the chain's utility less a constant.
    """
    uncertain = error(one) + error(other) / unit + 2.0 * bracket(problem, one)
    if one.status != other.status:  # only where the chain gains no more than can be told
        assert {one.status, other.status} <= {"accepted", "declined", "no_gain"}, problem
        assert abs(one.gain) + abs(other.gain) / unit <= 2.0 * uncertain, problem

    def differ(ours: Any, theirs: Any) -> float:
        return abs(float(ours) - float(theirs) / unit)

    chain = [party.retailer.utility_plan + party.supplier.utility_plan for party in (one, other)]
    keeps = [party.supplier.utility_plan - party.cbt for party in (one, other)]
    assert differ(*chain) <= uncertain, problem
    assert differ(*keeps) <= uncertain, problem
    assert one.filled == other.filled, problem
    if one.filled:
        assert differ(one.retailer.utility_jit, other.retailer.utility_jit) <= uncertain, problem


@examples
@given(batches, st.sampled_from((1e-3, 0.37, 64.0, 1e4)))
def test_the_unit_of_money_does_not_matter(drawn, unit):
    def priced(problem: Problem) -> Problem:
        names = (
            "unit_cost",
            "margin",
            "supplier_unit_cost",
            "supplier_margin",
            "holding",
            "backlog",
            "lost_sale",
            "leftover",
            "supplier_holding",
        )
        return replace(problem, **{name: getattr(problem, name) * unit for name in names})

    here, there = solve(drawn), solve([priced(problem) for problem in drawn])
    for index, problem in enumerate(drawn):
        assert_same(problem, lane(here, index), lane(there, index), unit)


@examples
@given(batches, st.sampled_from((1e-3, 0.37, 64.0, 1e4)))
def test_the_unit_of_quantity_does_not_matter(drawn, unit):
    def sized(problem: Problem) -> Problem:
        amounts = {name: getattr(problem, name) * unit for name in ("demand", "capacity", "inventory")}
        return replace(problem, **amounts)

    here, there = solve(drawn), solve([sized(problem) for problem in drawn])
    for index, problem in enumerate(drawn):
        assert_same(problem, lane(here, index), lane(there, index), unit)


@examples
@given(
    batches,
    st.permutations(range(SMALL[0])),
    st.permutations(range(SMALL[1])),
    st.permutations(range(SMALL[2])),
)
def test_the_order_of_nodes_regions_and_sources_does_not_matter(drawn, nodes, regions, sources):
    def shuffled(problem: Problem) -> Problem:
        return replace(
            problem,
            unit_cost=problem.unit_cost[np.ix_(nodes, regions)],
            demand=problem.demand[list(regions)],
            supplier_unit_cost=problem.supplier_unit_cost[np.ix_(sources, nodes)],
            capacity=problem.capacity[list(sources)],
            inventory=problem.inventory[list(nodes)],
        )

    here, there = solve(drawn), solve([shuffled(problem) for problem in drawn])
    for index, problem in enumerate(drawn):
        assert_same(problem, lane(here, index), lane(there, index))


@pytest.mark.parametrize("seed", range(3))
def test_padding_does_not_matter(seed):
    """Closed nodes, regions without demand and sources without capacity: the large shape's program."""
    drawn = [build(options) for options in draws(SMALL, LANES, 100 + seed)]
    here, there = solve(drawn), solve([padded(problem, *LARGE[:3]) for problem in drawn])
    for index, problem in enumerate(drawn):
        one, other = lane(here, index), lane(there, index)
        assert_same(problem, one, other)
        for plan in (other.plan, other.jit, other.issued):
            assert np.all(plan[SMALL[0] :] == 0.0), problem
