"""Exact answers for products that share sources, and for several vendors of a product.

Plans are dicts by (vendor, product) of (I, T) units delivered; utilities as in `lp`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tests.oracles.lp import SLACK, add_retailer, retailer_utility, weeks_cost
from tests.oracles.problem import Floats, Problem
from tests.oracles.program import Ints, Program

Key = tuple[str, str]
Plans = Mapping[Key, Floats]


@dataclass(frozen=True)
class Offer:
    """What a vendor needs to know to ship one product from its K sources."""

    unit_cost: Floats  # (K, I) currency / unit; inf = no lane
    margin: float  # currency / unit delivered
    holding: float  # currency / unit / week
    own: Floats  # (K, T) units, the product's own capacity; nan where it draws on the shared one
    share: float = 1.0  # of the product's just-in-time orders, before what cannot be reached


@dataclass(frozen=True)
class Coupled:
    """Products by name, whose suppliers' numbers are not looked at, offers, and shared capacity."""

    products: Mapping[str, Problem]
    offers: Mapping[Key, Offer]
    shared: Mapping[str, Floats]  # by vendor: (K, T) units; nan where a source has none to share

    @property
    def vendors(self) -> list[str]:
        return sorted({vendor for vendor, _ in self.offers})

    @property
    def scale(self) -> float:
        return max(float(sum(problem.demand.sum() for problem in self.products.values())), 1e-9)

    def of(self, vendor: str) -> list[Key]:
        return [key for key in self.offers if key[0] == vendor]

    def total(self, plans: Plans, product: str) -> Floats:
        """What arrives of a product from all vendors."""
        problem = self.products[product]
        nothing = np.zeros((problem.inbound, problem.weeks))
        return sum((plan for (_, name), plan in plans.items() if name == product), nothing)


@dataclass(frozen=True)
class Counted:
    """How much each vendor counts beside the retailer, and what its deviations from `order` are charged."""

    weight: Mapping[str, float]
    order: Plans
    over: Plans  # currency / unit, by offer
    under: Plans

    def deviation(self, vendor: str, plans: Plans) -> float:
        """What a vendor's deviations are charged in all [currency]."""
        total = 0.0
        for key in plans:
            if key[0] == vendor:
                apart = plans[key] - self.order[key]
                total += float(np.sum(self.over[key] * np.maximum(apart, 0.0)))
                total += float(np.sum(self.under[key] * np.maximum(-apart, 0.0)))
        return total


def joint_utility(
    coupled: Coupled, fixed: Plans | None = None, without: str | None = None, counted: Counted | None = None
) -> tuple[float, dict[Key, Floats]]:
    """Largest utility of the retailer and all vendors, `without` one whose deliveries are `fixed`.

    Where the vendors are `counted`, their charges on deviations are among their costs.
    """
    fixed = {} if fixed is None else fixed
    program, plans = _start(coupled, coupled.offers, fixed, 0.0)
    for name, problem in coupled.products.items():
        total = program.columns(np.zeros((problem.inbound, problem.weeks)))
        rows = program.rows("equal", np.zeros(total.shape))
        program.put("equal", rows, total, -1.0)
        for (_, product), plan in plans.items():
            if product == name:
                program.put("equal", rows, plan)
        add_retailer(program, problem, total, scale=coupled.scale)
    for vendor in coupled.vendors:
        if vendor != without:
            _add_vendor(program, coupled, vendor, plans, 1.0 if counted is None else counted.weight[vendor])
            if counted is not None:
                _charge(program, coupled, counted, vendor, plans)
    return _finish(program, coupled, plans)


def _charge(
    program: Program, coupled: Coupled, counted: Counted, vendor: str, plans: Mapping[Key, Ints]
) -> None:
    weight = counted.weight[vendor]
    for key in coupled.of(vendor):
        apart = program.rows("equal", counted.order[key] / coupled.scale)
        program.put("equal", apart, plans[key])
        program.put("equal", apart, program.columns(weight * counted.over[key]), -1.0)
        program.put("equal", apart, program.columns(weight * counted.under[key]))


def all_retailer_utility(coupled: Coupled, plans: Plans) -> float:
    """What the retailer earns with a plan; -inf where it cannot live with it."""
    return sum(
        retailer_utility(problem, coupled.total(plans, name)) for name, problem in coupled.products.items()
    )


def vendor_utility(coupled: Coupled, vendor: str, plans: Plans) -> float:
    """What a vendor earns by delivering its part of a plan; -inf where it cannot."""
    utility = -np.inf
    for slack in (0.0, SLACK):
        program, mine = _start(coupled, coupled.of(vendor), plans, slack)
        _add_vendor(program, coupled, vendor, mine)
        utility, _ = _finish(program, coupled, mine)
        if np.isfinite(utility):
            break
    return utility


def vendor_status_quo(coupled: Coupled, vendor: str, orders: Plans) -> tuple[float, bool]:
    """A vendor's utility of filling its orders, all if it can, else what suits it; and whether it can."""
    whole = vendor_utility(coupled, vendor, orders)
    if np.isfinite(whole):
        return whole, True
    return vendor_best_part(coupled, vendor, orders), False


def vendor_best_part(coupled: Coupled, vendor: str, orders: Plans) -> float:
    """A vendor's largest utility with any part of every line of its orders."""
    program = Program()
    keys = coupled.of(vendor)
    mine = {
        key: program.columns(np.zeros(orders[key].shape), 0.0, orders[key] / coupled.scale) for key in keys
    }
    _add_vendor(program, coupled, vendor, mine)
    return _finish(program, coupled, mine)[0]


def _start(
    coupled: Coupled, keys: Iterable[Key] | Collection[Key], fixed: Plans, slack: float
) -> tuple[Program, dict[Key, Ints]]:
    program, plans = Program(), {}
    for key in keys:
        problem = coupled.products[key[1]]
        zero = np.zeros((problem.inbound, problem.weeks))
        if key in fixed:
            share = np.asarray(fixed[key]) / coupled.scale
            plans[key] = program.columns(zero, np.maximum(share - slack, 0.0), np.maximum(share + slack, 0.0))
        else:
            plans[key] = program.columns(zero)
    return program, plans


def _add_vendor(
    program: Program, coupled: Coupled, vendor: str, plans: Mapping[Key, Ints], weight: float = 1.0
) -> None:
    shared = coupled.shared[vendor]
    common = program.rows("at_most", np.where(np.isnan(shared), 0.0, shared) / coupled.scale)
    for key in coupled.of(vendor):
        offer = coupled.offers[key]
        made = program.rows("at_most", np.where(np.isnan(offer.own), 0.0, offer.own) / coupled.scale)
        delivered = program.rows("equal", np.zeros(plans[key].shape))
        program.put("equal", delivered, plans[key], -1.0)
        weeks = weeks_cost(offer.own.shape[1], offer.holding, np.inf)
        cost = offer.unit_cost[:, None, :, None] + weeks[None, :, None, :]
        source, week, node, due = np.nonzero(np.isfinite(cost))
        shipped = program.columns(weight * (cost[source, week, node, due] - offer.margin))
        mine = np.isfinite(offer.own[source, week])
        program.put("at_most", made[source, week][mine], shipped[mine])
        program.put("at_most", common[source, week][~mine], shipped[~mine])
        program.put("equal", delivered[node, due], shipped)


def _finish(program: Program, coupled: Coupled, plans: Mapping[Key, Ints]) -> tuple[float, dict[Key, Floats]]:
    answer = program.solve()
    if answer is None:
        return -np.inf, {}
    cost, values = answer
    return -cost * coupled.scale, {key: values[columns] * coupled.scale for key, columns in plans.items()}
