"""Contracts for the kernels: both agents of random problems, stacked into batches of one shape."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import Outcome, settle
from jaxcpp.fleet import programs
from jaxcpp.mechanism.terms import frame, money
from jaxcpp.transport import path
from tests.oracles.problem import Problem
from tests.strategies import Options, build

FIRST_EPSILON = 0.05
TOLERANCE = 1e-6
ROUNDS = 200


class Parties(NamedTuple):
    """Both agents, each leaf with a lane axis."""

    retailer: TransportAgent
    supplier: TransportAgent


def parties(problem: Problem) -> Parties:
    """Both agents of one problem, in scaled units."""
    retailer = Retailer(
        problem.unit_cost, problem.demand, problem.margin, holding_cost=problem.holding,
        backlog_cost=problem.backlog, lost_sale_cost=problem.lost_sale, leftover_cost=problem.leftover,
        inventory=problem.inventory,
    )  # fmt: skip
    supplier = Supplier(
        problem.supplier_unit_cost, problem.capacity, problem.supplier_margin,
        holding_cost=problem.supplier_holding,
    )  # fmt: skip
    terms = frame(retailer, supplier, money(retailer, supplier))
    return Parties(retailer.agent(terms), supplier.agent(terms))


def batch(options: Options, lanes: int) -> Parties:
    """`lanes` contracts of one shape that differ in their seed."""
    each = [parties(build(replace(options, seed=seed))) for seed in range(lanes)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def sides(both: Parties) -> tuple[native.Side, native.Side]:
    """What the kernel is given of both agents."""
    return side(both.retailer), side(both.supplier)


def side(agent: TransportAgent) -> native.Side:
    """What the kernel is given of one agent."""
    private = agent.side
    return native.Side(
        private.cost, private.mass, private.outside, private.stock, agent.lost_margin, agent.unit_margin
    )


@jax.jit
@jax.vmap
def search(both: Parties, start: native.Path, strict: jax.Array) -> native.Path:
    """The kernel, from where `start` stands."""
    return native.solve_path(
        *sides(both), start.price, epsilon=start.epsilon, tolerance=TOLERANCE, strict=strict,
        max_rounds=jnp.where(start.done, 0, ROUNDS),
    )  # fmt: skip


@jax.jit
@jax.vmap
def certify(both: Parties, found: native.Path) -> Outcome:
    """What the price found is worth: the same code as for any other price."""
    return settle(both.retailer, both.supplier, found.price, found.epsilon, found.rounds)


@jax.jit
@jax.vmap
def twin(both: Parties) -> Outcome:
    """The same contracts by the pure-JAX path."""
    evaluate, state = newton.evaluate(*both), newton.begin(*both)
    ended = path.follow(evaluate, state, jnp.asarray(0.5 * TOLERANCE), ROUNDS)
    return settle(both.retailer, both.supplier, ended.price, ended.epsilon, ended.rounds)


@jax.vmap
def beside_a_path(both: Parties) -> tuple[path.PathState, Outcome, Outcome]:
    """A search that sees both sides, and a path that asks both parties round by round: states and worth."""
    buys, ships = both
    begun = newton.begin(buys, ships)
    after, found = programs.searched(
        buys, ships, begun, jnp.asarray(TOLERANCE), jnp.asarray(ROUNDS, jnp.int32)
    )
    way = path.follow(newton.evaluate(buys, ships), begun, jnp.asarray(0.5 * TOLERANCE), ROUNDS)
    return after, found, settle(buys, ships, path.reached(way), way.epsilon, way.rounds)


def worth_the_same(found: Outcome, turns: Outcome) -> None:
    """Two plans certified apart bracket one optimum; of a search's own, some go on at a tighter target."""
    noise = 1e-12 * (1.0 + np.abs(np.asarray(found.cost)))
    assert np.all(found.bound <= turns.cost + noise)
    assert np.all(turns.bound <= found.cost + noise)
    assert np.all(found.missing <= 1e-12)
    assert np.mean(found.gap <= TOLERANCE * np.maximum(found.spend, 1e-6)) > 0.8
    assert np.all(found.gap <= 20.0 * TOLERANCE * np.maximum(found.spend, 1e-6))


def opening(both: Parties) -> native.Path:
    """Before the first round."""
    quote = jax.vmap(lambda agent: agent.quote())(both.supplier)
    lanes = jnp.zeros(quote.shape[0])
    count = jnp.zeros(lanes.shape, jnp.int32)
    return native.Path(quote, lanes + FIRST_EPSILON, lanes + jnp.inf, count, count > 0)


def solve(both: Parties) -> tuple[native.Path, Outcome]:
    """Search and certify; a lane whose certificate fails goes on at a tighter target, as in `newton.turn`."""
    found, certified = opening(both), jnp.zeros(both.retailer.side.mass.shape[0], bool)
    for attempt in range(4):
        strict = jnp.full(certified.shape, 0.1**attempt)
        more = search(both, found._replace(done=certified), strict)
        found = more._replace(rounds=found.rounds + more.rounds)
        outcome = certify(both, found)
        certified = jax.vmap(lambda one: one.certified(jnp.asarray(TOLERANCE)))(outcome)
        if bool(jnp.all(certified)):
            break
    return found, outcome


def relative_gap(outcome: Outcome) -> np.ndarray:
    """Certified gap as a fraction of chain cost."""
    return np.asarray(jax.vmap(lambda one: one.gap / jnp.maximum(one.spend, 1e-6))(outcome))
