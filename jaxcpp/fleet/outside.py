"""A fleet some of whose vendors keep their tables at home: theirs by asking, the rest as ever.

A vendor's contracts that stand alone are one batch. Vendors are asked beside each other and beside the rest
of the fleet; one that fails gives its contracts a status, and nothing to the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.border import AgentFault
from jaxcpp.agents.retailer import Retailer
from jaxcpp.consensus import outside as rounds
from jaxcpp.fleet.contracts import of_offers
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.fees import rule_for
from jaxcpp.fleet.outside_layout import Accounts, Asked, columns_of, merged
from jaxcpp.fleet.pack import COLUMN_STEPS, NODE_STEPS, Packer, step_up
from jaxcpp.fleet.results import Columns, Run
from jaxcpp.fleet.settings import OnProgress, Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.fleet.vendors import (
    Frame,
    Mask,
    OutsideVendor,
    check_outside,
    outside_offers,
    without_offers,
)
from jaxcpp.mechanism.fees import AdditiveFee
from jaxcpp.mechanism.outside import OutsideContracts, coordinate_outside
from jaxcpp.mechanism.status_quo import living_with
from jaxcpp.mechanism.terms import FLOOD, own_frame

AT_ONCE = 8
"""Vendors asked at the same time."""
TOLERANCE = 1e-9
"""Relative bracket of what a plan costs the retailer, for its own account."""


def plan_with_outside(
    fleet: Fleet,
    vendors: Mapping[str, OutsideVendor],
    settings: Settings,
    on_progress: OnProgress | None = None,
    deadline: float | None = None,
    yesterday: Columns | None = None,
) -> Run:
    """As `plan_fleet`, where some vendors' tables are not in the fleet but behind an agent.

    `settings.tolerance` is, for their contracts, a fraction of demand times the retailer's median lane: their
    chain cost is not known here. `deadline` [s] is what an answer may take; `yesterday` is
    for the rest of the fleet.

    Raises:
        OutsideVendorsError: something is asked for that outside vendors cannot be asked.
        CoupledContractsError, FeeError, WholeUnitsError: as `plan_fleet`.
    """
    check_outside(fleet, list(vendors), settings.fees, settings.units, settings.flows)
    begun = time.perf_counter()
    theirs = outside_offers(fleet, list(vendors))
    own = without_offers(fleet, theirs)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [
            pool.submit(_ask_vendor, fleet, name, vendor, settings, deadline)
            for name, vendor in vendors.items()
        ]
        run = plan_fleet(own, settings, on_progress, yesterday) if len(own.offers.vendor) else None
        asked = [future.result() for future in waiting]
    made = merged(run, [columns_of(fleet, one) for one in asked])
    made.device = f"{jax.devices()[0].device_kind} ({jax.default_backend()})"
    compiling = made.seconds.get("compile", 0.0)
    made.seconds = {"compile": compiling, "solve": time.perf_counter() - begun - compiling}
    return made


@dataclass(frozen=True)
class _Ours:
    """The retailer's side of a vendor's contracts, padded to one shape."""

    retailers: list[Retailer]
    frame: Frame
    node: np.ndarray  # (contract, width) position among the fleet's inbound nodes, or -1


def _ask_vendor(
    fleet: Fleet, name: str, vendor: OutsideVendor, settings: Settings, deadline: float | None
) -> Asked:
    """Plan one vendor's contracts with its agent."""
    found = of_offers(fleet, outside_offers(fleet, [name]))
    ours = _retailers(fleet, Packer(fleet, found))
    try:
        agent, reached = vendor.open(ours.frame)
    except AgentFault as error:
        return Asked(found, ours.node, None, None, (error.fault, f"{name}: {error}"))
    alpha = [
        rule_for(settings.fees, name, product).additive
        for product in fleet.product_ids[found.product].tolist()
    ]
    made = coordinate_outside(
        ours.retailers, agent, AdditiveFee(jnp.asarray(alpha, jnp.float64)), reached=reached,
        tolerance=settings.tolerance, max_rounds=settings.max_rounds or rounds.MAX_ROUNDS, deadline=deadline,
    )  # fmt: skip
    return Asked(found, ours.node, made, _accounts(ours.retailers, reached, made), None)


def _retailers(fleet: Fleet, packer: Packer) -> _Ours:
    """What the retailer knows of each contract: lanes, demand, stock; all but the vendor's side."""
    found, everything = packer.found, []
    for product in found.product.tolist():
        rows, lanes, stock = packer.demand_rows(product), packer.outbound(product), packer.stock(product)
        lanes = lanes[:, fleet.demand.region[rows]]
        serves = np.isfinite(lanes).any(axis=1)
        keeps = bool(np.isfinite(fleet.products.leftover_cost[product]))
        nodes = np.flatnonzero(serves | keeps)
        everything.append(
            (nodes, lanes[nodes], fleet.demand.units[rows], fleet.demand.week[rows], stock[nodes])
        )
    width = min(step_up(max(1, *(len(one[0]) for one in everything)), NODE_STEPS), len(fleet.inbound_ids))
    columns = step_up(max(1, *(len(one[2]) for one in everything)), COLUMN_STEPS)
    stocked = any(one[4].any() for one in everything)
    numbers, _ = packer.numbers(np.arange(len(found)))
    retailers, node = [], np.full((len(found), width), -1, np.int32)
    for row, (nodes, lanes, units, week, stock) in enumerate(everything):
        cost, demand, at = np.full((width, columns), np.inf), np.zeros(columns), np.zeros(columns, np.int32)
        cost[: len(nodes), : len(units)], demand[: len(units)], at[: len(units)] = lanes, units, week
        margin, holding, backlog, lost, leftover = numbers[row]
        retailers.append(
            Retailer(
                cost, demand, margin, holding_cost=holding, backlog_cost=backlog, lost_sale_cost=lost,
                leftover_cost=leftover, week=at, weeks=fleet.weeks,
                inventory=np.pad(stock, (0, width - len(stock))) if stocked else None,
            )
        )  # fmt: skip
        node[row, : len(nodes)] = nodes
    frame = Frame(
        contract_ids=tuple(found.ids.tolist()),
        product_ids=tuple(fleet.product_ids[found.product].tolist()),
        inbound_ids=tuple(tuple(fleet.inbound_ids[one[0]].tolist()) for one in everything),
        weeks=fleet.weeks,
        most=np.asarray([FLOOD * one[2].sum() for one in everything]),
        width=width,
        currency=fleet.currency,
        first_week=fleet.first_week,
    )
    return _Ours(retailers, frame, node)


def _accounts(retailers: list[Retailer], reached: Mask, made: OutsideContracts) -> Accounts:
    """The retailer's account of both plans [currency]."""
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *retailers)
    numbers = _live(batch, jnp.asarray(reached), jnp.asarray(made.jit), jnp.asarray(made.plan))
    return Accounts(*(np.asarray(column) for column in numbers))


@jax.jit
@jax.vmap
def _live(
    retailer: Retailer, reached: Bool[Array, " i"], jit: Float[Array, " n"], plan: Float[Array, " n"]
) -> tuple[Float[Array, ""], ...]:
    """Money spent and utility with either plan; what had to be served and just in time is not."""
    terms = own_frame(retailer, reached)
    agent, unit = retailer.agent(terms), terms.money * terms.volume
    tolerance, every = jnp.asarray(TOLERANCE, plan.dtype), jnp.zeros((), bool)
    jit_cost, unmet = living_with(agent, jit / terms.volume, tolerance, every)
    plan_cost, _ = living_with(agent, plan / terms.volume, tolerance, every)
    own = retailer.profit_at_no_cost()
    return (
        jit_cost.spend * unit,
        plan_cost.spend * unit,
        own - jit_cost.upper * unit,
        own - plan_cost.upper * unit,
        unmet * terms.volume,
    )
