"""A fleet under every fee of a grid: what no fee changes is solved once, and no value compiles a program.

Just-in-time and the plan that is best for both are the same for all of them. What is left for each value is
the suppliers' choice on its schedule, where there is one, searched from the prices under the value before,
and the decision.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from jaxcpp.fleet.batch import OnLanes, Solved, agree, charge
from jaxcpp.fleet.contracts import Contracts, contracts_alone
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.fees import Charges, charges, check_fees
from jaxcpp.fleet.layout import lay_out
from jaxcpp.fleet.pack import Bucket, Packer
from jaxcpp.fleet.parts import workers
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import OnProgress, Settings
from jaxcpp.fleet.solve import reporter
from jaxcpp.fleet.whole import check_whole

COUNTS = ("contracts", "offered", "accepted", "not_certified", "rounds")
MONEY = ("price", "paid", "cbt_paid", "fees_paid", "gain", "supplier_surplus", "efficiency_lost")


@dataclass(frozen=True)
class Grid:
    """Values of one number of a fee, a field of `FeeRule`; every rule of the run is given them in turn."""

    name: str
    values: tuple[float, ...]

    def rules(self, rules: tuple[FeeRule, ...], value: float) -> tuple[FeeRule, ...]:
        """The rules with one value in its place; one for everybody where there is none."""
        numbers = {self.name: value}
        return tuple(replace(rule, **numbers) for rule in rules or (FeeRule(),))  # type: ignore[arg-type]


def sweep_fleet(
    fleet: Fleet, settings: Settings, grid: Grid, on_progress: OnProgress | None = None
) -> Columns:
    """What comes of each fee, by vendor: one row a value and vendor, in that order.

    `price` sums the prices of all offers, the other sums are of accepted ones; `gain` and
    `efficiency_lost`, in the fleet's currency, are those of the plans carried out. Contracts that have no
    plan, or whose just-in-time plan leaves demand unserved that must be served, count with no money.

    Raises:
        CoupledContractsError, FeeError, WholeUnitsError: as `plan_fleet`; contracts must stand alone.
    """
    found = contracts_alone(fleet)
    check_fees(settings.fees, fleet)
    whole = settings.units == "integer"
    if whole:
        check_whole(fleet)
    packer = Packer(fleet, found, whole)
    buckets = packer.buckets()
    report = reporter(len(found) * len(grid.values), on_progress)
    by_bucket = partial(_by_value, fleet, found, settings, grid, report)
    with ThreadPoolExecutor(workers()) as pool:
        solved = list(pool.map(by_bucket, buckets))
    parts = []
    for at, value in enumerate(grid.values):
        run = lay_out(fleet, found, packer, [bucket[at] for bucket in solved], replace(settings, flows=False))
        parts.append(_by_vendor(fleet, found, value, run.contracts))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_value(
    fleet: Fleet, found: Contracts, settings: Settings, grid: Grid, report: OnLanes, bucket: Bucket
) -> list[Solved]:
    """A bucket's contracts under each fee."""

    def fees(value: float) -> Charges:
        return charges(grid.rules(settings.fees, value), fleet, found, bucket.contract, bucket.nodes)

    agreed = agree(bucket, settings, _nobody)
    everything = fees(max(grid.values) or 1.0)
    answers: list[Solved] = []
    for value in grid.values:
        known = answers[-1].on_schedule if answers else None
        answers.append(charge(agreed, settings, _alike(fees(value), everything), known))
        report(len(bucket.contract), len(bucket.contract), 0.0)
    return answers


def _alike(fees: Charges, other: Charges) -> Charges:
    """The same fees with noughts where `other` charges something: no value has a program of its own."""
    missing = {
        name: np.zeros_like(getattr(other, name))
        for name in ("rate", "over", "under")
        if getattr(fees, name) is None and getattr(other, name) is not None
    }
    return replace(fees, **missing)


def _by_vendor(fleet: Fleet, found: Contracts, value: float, contracts: Columns) -> Columns:
    """Counts and sums over each vendor's contracts."""
    status = np.asarray(contracts["status"])
    accepted = status == "accepted"
    offered = accepted | (status == "declined")
    among = {"price": offered, "paid": accepted, "supplier_surplus": accepted, "gain": accepted}
    numbers = {
        "contracts": np.ones(len(found)), "offered": offered, "accepted": accepted,
        "not_certified": status == "not_converged",
        "rounds": contracts["rounds"],
        "cbt_paid": np.where(accepted, contracts["cbt"], 0.0),
        "fees_paid": np.where(accepted, contracts["fee"], 0.0),
        "efficiency_lost": contracts["efficiency_lost"],
        **{name: np.where(those, contracts[name], 0.0) for name, those in among.items()},
    }  # fmt: skip
    vendors, vendor = np.unique(found.vendor, return_inverse=True)
    sums = {name: np.bincount(vendor, np.nan_to_num(number)) for name, number in numbers.items()}
    return {
        "fee_value": np.full(len(vendors), value),
        "vendor_id": fleet.vendor_ids[vendors],
        **{name: sums[name].astype(np.int32) for name in COUNTS},
        **{name: sums[name] for name in MONEY},
    }


def _nobody(*_: object) -> None:
    """Plans that are told of once they are priced."""
