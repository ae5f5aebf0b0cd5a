"""Audit of vendors that are planned together: one of each bundle lies at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import feasible
from jaxcpp.fleet.batch import in_batches
from jaxcpp.fleet.bundle_pack import first_ids
from jaxcpp.fleet.bundle_solve import BundleSolved, per_batch, solve_bundles
from jaxcpp.fleet.bundles import Bundles
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.misreports import NEARER, Best, Worth, misreported
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.store import fetch
from jaxcpp.mechanism import status as codes


def audit_bundles(fleet: Fleet, tied: Bundles, settings: Settings, lies: int, seed: int) -> Columns:
    """As `audit.audit_fleet`, for every vendor of every bundle."""
    truly = solve_bundles(fleet, tied, settings, _nobody)
    honest = [_worth(part, part, settings) for part in truly]
    names = [first_ids(fleet, piece)[0] for part in truly for piece in part.bucket.pieces]
    ids = np.asarray([name for row in names for name in row])
    vendors = np.concatenate([piece.bundle.vendors for part in truly for piece in part.bucket.pieces])
    best = [Best.of(part.bucket.lanes.here.shape) for part in truly]
    most, rng = max(part.bucket.lanes.here.shape[1] for part in truly), np.random.default_rng(seed)
    for _ in range(lies):
        told = misreported(fleet, rng)
        for place in range(most):
            liars = [
                int(piece.bundle.vendors[place])
                for part in truly
                for piece in part.bucket.pieces
                if place < len(piece.bundle.vendors)
            ]
            found = solve_bundles(_only(fleet, told, liars), tied, settings, _nobody)
            for part, lied, truth, kept in zip(truly, found, honest, best, strict=True):
                here = part.bucket.lanes.here & (np.arange(part.bucket.lanes.here.shape[1]) == place)
                kept.add(truth, _worth(part, lied, settings), here, settings)
    here = [part.bucket.lanes.here for part in truly]
    return Best.columns(ids, fleet.vendor_ids[vendors], best, here)


def _only(fleet: Fleet, told: Fleet, liars: list[int]) -> Fleet:
    """The fleet as some vendors would have it believed, and as it is of all others."""
    lying = np.isin(np.arange(len(fleet.vendor_ids)), liars)

    def mixed(mine: Floats, other: Floats, vendor: Any) -> Floats:
        return np.where(lying[vendor], other, mine)

    lanes, offers, sources = fleet.inbound_lanes, fleet.offers, fleet.sources
    ships, makes = fleet.source_vendor[lanes.source], fleet.source_vendor[sources.source]
    return replace(
        fleet,
        inbound_lanes=replace(
            lanes,
            unit_cost=mixed(lanes.unit_cost, told.inbound_lanes.unit_cost, ships),
            cost_per_kg=mixed(lanes.cost_per_kg, told.inbound_lanes.cost_per_kg, ships),
        ),
        offers=replace(offers, margin=mixed(offers.margin, told.offers.margin, offers.vendor)),
        sources=replace(sources, capacity=mixed(sources.capacity, told.sources.capacity, makes)),
    )


def _worth(truly: BundleSolved, solved: BundleSolved, settings: Settings) -> Worth:
    """What each vendor has of a report by its true numbers; arrays (bundle, vendor)."""
    lanes, made, terms = truly.bucket.lanes, solved.settlement, truly.agreed.known.terms
    plan = solved.plan.reshape(len(solved.plan), -1)
    limit, tolerance = np.asarray(newton.MAX_ROUNDS, np.int32), np.asarray(NEARER * settings.tolerance)
    args, size = (lanes, plan, np.zeros_like(lanes.here)), per_batch(truly.bucket, len(plan), settings)
    costs: Any = fetch(in_batches(size, "bundle_fill", args, (tolerance, limit), (False,)))
    unit = (terms.money * terms.volume)[:, None]
    confirmed, own = solved.standing.vendors, solved.agreed.known.terms
    width = (costs.upper - costs.lower) * unit
    if settings.just_in_time == "voluntary":
        width = width + (confirmed.upper - confirmed.lower) * (own.money * own.volume)[:, None]
    ships = feasible(costs.unfilled)
    return Worth(
        has=np.where(ships, -costs.upper * unit - made.paid, -np.inf),
        unsure=width + made.price_error,
        gap=np.asarray(made.efficiency_gap),
        comparable=ships & ~np.isin(made.code, (codes.INFEASIBLE, codes.NOT_CONVERGED)),
        filled=feasible(confirmed.unfilled),
    )


def _nobody(*_: object) -> None:
    """An audit tells at its end."""
