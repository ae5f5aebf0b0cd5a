"""Audit of truthfulness: vendors misreport at random, and what a lie gained is held against the certificates.

A vendor has of a report its true utility of the plan carried out, less what it pays. On a price schedule
no lie can gain it more than the certified slack (arXiv:2605.16695 Theorems 1-3); an ex-post fee has none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxcpp.consensus.outcome import feasible
from jaxcpp.fleet.batch import Solved, in_batches, lanes_per_batch
from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.fees import check_fees
from jaxcpp.fleet.pack import Bucket, Packer
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import solve_all
from jaxcpp.fleet.store import fetch
from jaxcpp.mechanism import status as codes

SIZES = (0.05, 0.3, 1.0)
"""Standard deviations of the logarithm of what a vendor reports, drawn anew for every lie."""

NEARER = 0.1
"""Of the tolerance of plans: how precisely a vendor's true cost of a plan is known."""


@dataclass(frozen=True)
class Worth:
    """A bucket's reports: what each vendor truly has of its own [currency], and what may be wrong in it."""

    has: Floats
    unsure: Floats
    gap: Floats
    comparable: np.ndarray  # bool: ended with a plan both can carry out
    filled: np.ndarray


def misreported(fleet: Fleet, rng: np.random.Generator) -> Fleet:
    """The fleet as vendors would have it believed: lane costs, margins, capacities, or all of them."""
    size, kind = rng.choice(SIZES), int(rng.integers(4))
    lanes, offers, sources = fleet.inbound_lanes, fleet.offers, fleet.sources

    def factor(like: Floats, one: int) -> Floats:
        return np.exp(size * rng.normal(size=like.shape)) if kind in (one, 3) else np.ones_like(like)

    cost = factor(lanes.unit_cost, 0)
    return replace(
        fleet,
        inbound_lanes=replace(lanes, unit_cost=lanes.unit_cost * cost, cost_per_kg=lanes.cost_per_kg * cost),
        offers=replace(offers, margin=offers.margin * factor(offers.margin, 1)),
        sources=replace(sources, capacity=sources.capacity * factor(sources.capacity, 2)),
    )


def audit_fleet(fleet: Fleet, settings: Settings, lies: int, seed: int = 0) -> Columns:
    """The best of `lies` random misreports for every contract's vendor, as columns by contract.

    `regret` is an upper bound on what that lie gained, `slack` what the certificates leave open. Who cannot
    fill the just-in-time order shows it by not filling it: lies that change it are not counted (`tried`).

    Raises:
        CoupledContractsError, FeeError: as `plan_fleet`.
    """
    check_fees(settings.fees, fleet)
    found = contracts_alone(fleet)
    buckets = Packer(fleet, found).buckets()
    count = len(found)
    regret, slack, tried = np.full(count, -np.inf), np.zeros(count), np.zeros(count, np.int32)
    honest = _reports(fleet, buckets, settings)
    rng = np.random.default_rng(seed)
    for _ in range(lies):
        for bucket, truth, lie in zip(
            buckets, honest, _reports(misreported(fleet, rng), buckets, settings), strict=True
        ):
            open_ = truth.gap + truth.unsure + lie.unsure
            # An upper bound on what was gained: all that is unsure is counted for the lie.
            gained = lie.has - truth.has + truth.unsure + lie.unsure
            counts = truth.comparable & lie.comparable & (truth.filled == lie.filled)
            better = counts & (gained - open_ > (regret - slack)[bucket.contract])
            regret[bucket.contract] = np.where(better, gained, regret[bucket.contract])
            slack[bucket.contract] = np.where(better, open_, slack[bucket.contract])
            tried[bucket.contract] += counts
    seen = tried > 0
    return {
        "contract_id": found.ids,
        "vendor_id": fleet.vendor_ids[found.vendor],
        "tried": tried,
        "regret": np.where(seen, regret, np.nan),
        "slack": np.where(seen, 2.0 * slack, np.nan),
        "gained": seen & (regret > 2.0 * slack),
    }


def _reports(reported: Fleet, truly: list[Bucket], settings: Settings) -> list[Worth]:
    """Solve a fleet as reported; what each vendor has of it by its true numbers."""
    found = contracts_alone(reported)
    buckets = Packer(reported, found).buckets()
    solved = solve_all(reported, found, buckets, settings, lambda *_: None)
    by_contract = {int(part.bucket.contract[0]): part for part in solved}
    return [_worth(bucket, by_contract[int(bucket.contract[0])], settings) for bucket in truly]


def _worth(truly: Bucket, solved: Solved, settings: Settings) -> Worth:
    contract, count = solved.contract, len(truly.contract)
    size = lanes_per_batch(truly.shape, count, settings)
    tolerance = np.asarray(NEARER * settings.tolerance)
    plans = np.asarray(contract.issued)
    found: Any = fetch(in_batches(size, "flows", (truly.lanes, plans), (tolerance,)))
    (_, bracket), volume = found[1], solved.volume
    unit = truly.lanes.scale * volume
    ships = feasible(np.sum(bracket.flows.short, axis=1) * (volume > 0.0))
    code = np.asarray(contract.code)
    width = (bracket.upper - bracket.lower) * unit
    return Worth(
        has=np.where(ships, -bracket.upper * unit - contract.paid, -np.inf),
        unsure=width + contract.certificate.price_error,
        gap=np.asarray(contract.certificate.efficiency_gap),
        comparable=ships & ~np.isin(code, (codes.INFEASIBLE, codes.NOT_CONVERGED)),
        filled=np.asarray(contract.filled),
    )
