"""Audit of truthfulness: vendors misreport at random, and what a lie gained is held against the certificates.

A vendor has of a report its true utility of the plan carried out, less what it pays. On a price schedule
no lie can gain it more than the certified slack (arXiv:2605.16695 Theorems 1-3); an ex-post fee has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcpp.consensus.outcome import feasible
from jaxcpp.fleet.batch import Solved, in_batches, lanes_per_batch
from jaxcpp.fleet.bundle_audit import audit_bundles
from jaxcpp.fleet.bundle_fees import check_bundle_fees
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import Contracts, contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.fees import check_fees
from jaxcpp.fleet.misreports import NEARER, Best, Worth, misreported
from jaxcpp.fleet.pack import Bucket, Packer
from jaxcpp.fleet.results import Columns, joined, taken
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import solve_all
from jaxcpp.fleet.store import fetch
from jaxcpp.mechanism import status as codes


def audit_fleet(fleet: Fleet, settings: Settings, lies: int, seed: int = 0) -> Columns:
    """The best of `lies` random misreports for every contract's vendor, as columns by contract.

    `regret` is an upper bound on what that lie gained, `slack` what the certificates leave open. Where
    vendors are obliged to fill the orders that they can, lies that change whether they can are not counted
    (`tried`): understating capacity is a way out of an order at a loss. Of vendors that are planned
    together, one lies at a time.

    Raises:
        CoupledContractsError, FeeError: as `plan_fleet`.
    """
    check_fees(settings.fees, fleet)
    tied = bundles(fleet)
    check_bundle_fees(settings.fees, fleet, tied)
    found = contracts(fleet, tied)
    parts = [_audit_alone(fleet, found, settings, lies, seed)] if len(found) else []
    parts += [audit_bundles(fleet, tied, settings, lies, seed)] if len(tied) else []
    columns = joined(parts)
    return taken(columns, np.argsort(columns["contract_id"], kind="stable"))


def _audit_alone(fleet: Fleet, found: Contracts, settings: Settings, lies: int, seed: int) -> Columns:
    """Contracts that stand alone: all of their vendors lie at once, and none feels another's lie."""
    buckets = Packer(fleet, found).buckets()
    honest = _reports(fleet, buckets, settings)
    best = [Best.of(bucket.contract.shape) for bucket in buckets]
    rng = np.random.default_rng(seed)
    for _ in range(lies):
        told = _reports(misreported(fleet, rng), buckets, settings)
        for kept, truth, lie in zip(best, honest, told, strict=True):
            kept.add(truth, lie, np.ones(len(kept.regret), bool), settings)
    contract = np.concatenate([bucket.contract for bucket in buckets])
    vendors = fleet.vendor_ids[found.vendor[contract]]
    everyone = [np.ones(len(bucket.contract), bool) for bucket in buckets]
    return Best.columns(found.ids[contract], vendors, best, everyone)


def _reports(reported: Fleet, truly: list[Bucket], settings: Settings) -> list[Worth]:
    """Solve a fleet as reported; what each vendor has of it by its true numbers."""
    found = contracts(reported)
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
    # What is confirmed is a choice too, and the best one no nearer than its bracket tells.
    voluntary = settings.just_in_time == "voluntary"
    return Worth(
        has=np.where(ships, -bracket.upper * unit - contract.paid, -np.inf),
        unsure=width + contract.certificate.price_error + (solved.jit_width if voluntary else 0.0),
        gap=np.asarray(contract.certificate.efficiency_gap),
        comparable=ships & ~np.isin(code, (codes.INFEASIBLE, codes.NOT_CONVERGED)),
        filled=np.asarray(contract.filled),
    )
