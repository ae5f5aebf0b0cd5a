"""A fleet under every fee of a grid: what no fee changes is solved once, and no value compiles a program.

Just-in-time and the plan that is best for both are the same for all of them. What is left for each value is
the suppliers' choice on its schedule, where there is one, searched from the prices under the value before,
and the decision.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from jaxcpp.fleet.batch import OnLanes, Solved, agree, charge
from jaxcpp.fleet.bundle_fees import bundle_charges
from jaxcpp.fleet.bundle_layout import with_bundles
from jaxcpp.fleet.bundle_solve import AgreedBundles, BundleSolved, agree_bundles, charge_bundles
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import Contracts, contracts
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.fees import Charges, charges, check_fees
from jaxcpp.fleet.layout import lay_out
from jaxcpp.fleet.pack import Bucket, Packer
from jaxcpp.fleet.parts import workers
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import OnProgress, Settings
from jaxcpp.fleet.solve import check_settings, reporter

Answer = TypeVar("Answer")

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
        CoupledContractsError, FeeError, WholeUnitsError: as `plan_fleet`.
    """
    settings, tied = replace(settings, flows=False), bundles(fleet)
    found = contracts(fleet, tied)
    check_fees(settings.fees, fleet)
    # A fee that is refused is refused for any value but nought.
    check_settings(fleet, replace(settings, fees=grid.rules(settings.fees, max(grid.values))), tied)
    packer = Packer(fleet, found, settings.units == "integer")
    rows = len(found) + sum(len(item.vendors) for item in tied.items)
    report = reporter(rows * len(grid.values), on_progress)
    with ThreadPoolExecutor(workers()) as pool:
        alone = list(pool.map(partial(_by_value, fleet, found, settings, grid, report), packer.buckets()))
        agreed = agree_bundles(fleet, tied, settings, workers())
        joint = list(pool.map(partial(_together_by_value, fleet, settings, grid, report), agreed))
    parts = []
    for at, value in enumerate(grid.values):
        solved, together = [bucket[at] for bucket in alone], [bucket[at] for bucket in joint]
        run = lay_out(fleet, found, packer, solved, settings) if solved else None
        parts.append(_by_vendor(value, with_bundles(run, fleet, together).contracts))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_value(
    fleet: Fleet, found: Contracts, settings: Settings, grid: Grid, report: OnLanes, bucket: Bucket
) -> list[Solved]:
    """A bucket's contracts under each fee."""
    agreed = agree(bucket, settings, _nobody)

    def fees(rules: tuple[FeeRule, ...]) -> Charges:
        return charges(rules, fleet, found, bucket.contract, bucket.nodes)

    def charged(fee: Charges, known: Floats | None) -> tuple[Solved, Floats | None]:
        solved = charge(agreed, settings, fee, known)
        report(len(bucket.contract), len(bucket.contract), 0.0)
        return solved, solved.on_schedule

    return _along(settings, grid, fees, charged)


def _together_by_value(
    fleet: Fleet, settings: Settings, grid: Grid, report: OnLanes, agreed: AgreedBundles
) -> list[BundleSolved]:
    """A bucket of bundles under each fee."""
    bucket = agreed.bucket
    rows = int(bucket.lanes.here.sum())

    def fees(rules: tuple[FeeRule, ...]) -> Charges:
        return bundle_charges(rules, fleet, bucket.pieces, bucket.lanes)

    def charged(fee: Charges, known: Floats | None) -> tuple[BundleSolved, Floats | None]:
        solved = charge_bundles(agreed, settings, _nobody, fee, known)
        report(rows, rows, 0.0)
        return solved

    return _along(settings, grid, fees, charged)


def _along(
    settings: Settings,
    grid: Grid,
    fees: Callable[[tuple[FeeRule, ...]], Charges],
    charged: Callable[[Charges, Floats | None], tuple[Answer, Floats | None]],
) -> list[Answer]:
    """The answer under each fee, each search from the prices under the value before."""
    everything = fees(grid.rules(settings.fees, max(grid.values) or 1.0))
    answers: list[Answer] = []
    known: Floats | None = None
    for value in grid.values:
        answer, known = charged(_alike(fees(grid.rules(settings.fees, value)), everything), known)
        answers.append(answer)
    return answers


def _alike(fees: Charges, other: Charges) -> Charges:
    """The same fees with noughts where `other` charges something: no value has a program of its own."""
    missing = {
        name: np.zeros_like(getattr(other, name))
        for name in ("rate", "over", "under")
        if getattr(fees, name) is None and getattr(other, name) is not None
    }
    return replace(fees, **missing)


def _by_vendor(value: float, contracts: Columns) -> Columns:
    """Counts and sums over each vendor's contracts."""
    status = np.asarray(contracts["status"])
    accepted = status == "accepted"
    offered = accepted | (status == "declined")
    among = {"price": offered, "paid": accepted, "supplier_surplus": accepted, "gain": accepted}
    numbers = {
        "contracts": np.ones(len(status)), "offered": offered, "accepted": accepted,
        "not_certified": status == "not_converged",
        "rounds": contracts["rounds"],
        "cbt_paid": np.where(accepted, contracts["cbt"], 0.0),
        "fees_paid": np.where(accepted, contracts["fee"], 0.0),
        "efficiency_lost": contracts["efficiency_lost"],
        **{name: np.where(those, contracts[name], 0.0) for name, those in among.items()},
    }  # fmt: skip
    vendors, vendor = np.unique(np.asarray(contracts["vendor_id"]), return_inverse=True)
    sums = {name: np.bincount(vendor, np.nan_to_num(number)) for name, number in numbers.items()}
    return {
        "fee_value": np.full(len(vendors), value),
        "vendor_id": vendors,
        **{name: sums[name].astype(np.int32) for name in COUNTS},
        **{name: sums[name] for name in MONEY},
    }


def _nobody(*_: object) -> None:
    """Plans that are told of once they are priced."""
