"""Solved bundles beside the exact problems they were made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxcpp.fleet.bundle_layout import with_bundles
from jaxcpp.fleet.bundle_solve import BundleSolved, solve_bundles
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Run
from jaxcpp.fleet.settings import Settings
from tests.coupled import prefixed, tables_of
from tests.fleets import INBOUND, read
from tests.oracles.alternatives import Game
from tests.oracles.coupled import Coupled, Key, all_retailer_utility, vendor_utility
from tests.oracles.problem import Floats, Problem

LP = 1e-8
"""What an answer of the LP solver may be off by, as a fraction of the money at stake."""


@dataclass(frozen=True)
class Judged:
    """One bundle: its numbers, and the problem behind them."""

    coupled: Coupled
    solved: BundleSolved
    at: int  # lane
    rows: dict[str, dict[str, Any]]  # by vendor
    order: dict[Key, Floats]
    jit: dict[Key, Floats]
    plan: dict[Key, Floats]  # offered
    issued: dict[Key, Floats]  # carried out
    run: Run

    @property
    def stake(self) -> float:
        """What an oracle's utility may be off by [currency]."""
        units = self.coupled.scale + sum(float(np.nansum(units)) for units in self.coupled.shared.values())
        return LP * units * 40.0

    def others(self, vendor: str, plan: dict[Key, Floats]) -> float:
        """Exact utility of everybody else with a plan."""
        rest = (name for name in self.coupled.vendors if name != vendor)
        return all_retailer_utility(self.coupled, plan) + sum(
            vendor_utility(self.coupled, v, plan) for v in rest
        )


def plans(coupled: Coupled, fleet: Fleet, solved: BundleSolved, at: int, units: Floats) -> dict[Key, Floats]:
    piece = solved.bucket.pieces[at]
    found = {
        key: np.zeros((p.inbound, p.weeks)) for key in coupled.offers for p in [coupled.products[key[1]]]
    }
    nodes = [INBOUND.index(str(fleet.inbound_ids[node])) for node in piece.nodes]
    for p, offers in enumerate(piece.slots):
        for slot, offer in enumerate(offers):
            key = (
                str(fleet.vendor_ids[fleet.offers.vendor[offer]]),
                str(fleet.product_ids[fleet.offers.product[offer]]),
            )
            found[key][nodes] = units[p, slot, : len(nodes)]
    return found


def judge(whole: Coupled, fleet: Fleet, run: Run, solved: list[BundleSolved]) -> Iterator[Judged]:
    rows = {
        (str(vendor), name): {column: values[at] for column, values in run.contracts.items()}
        for at, vendor in enumerate(run.contracts["vendor_id"])
        for name in run.contracts["product_ids"][at]
    }
    for part in solved:
        for at, piece in enumerate(part.bucket.pieces):
            names = {str(fleet.product_ids[product]) for product in piece.bundle.products}
            offers = {key: offer for key, offer in whole.offers.items() if key[1] in names}
            coupled = Coupled({name: whole.products[name] for name in names}, offers, whole.shared)
            offered = part.jit[at] if part.settlement.stays[at] else part.offered[at]
            order, jit, plan, issued = (
                plans(coupled, fleet, part, at, units)
                for units in (part.order[at], part.jit[at], offered, part.plan[at])
            )
            mine = {key[0]: rows[key] for key in offers}
            yield Judged(coupled, part, at, mine, order, jit, plan, issued, run)


def solve(parts: dict[str, Coupled], folder, settings: Settings) -> list[Judged]:
    fleet = read(tables_of(parts).tables(), folder)
    solved = solve_bundles(fleet, bundles(fleet), settings, lambda *_: None)
    named = [prefixed(coupled, prefix) for prefix, coupled in parts.items()]
    whole = Coupled(
        {name: problem for one in named for name, problem in one.products.items()},
        {key: offer for one in named for key, offer in one.offers.items()},
        {vendor: units for one in named for vendor, units in one.shared.items()},
    )
    return list(judge(whole, fleet, with_bundles(None, fleet, solved), solved))


def without(one: Judged) -> str | None:
    """Who stays out of the plan that is carried out; "" nobody, None all do."""
    out = [vendor for vendor, row in one.rows.items() if row["status"] != "accepted"]
    return None if len(out) == len(one.rows) else (out[0] if out else "")


def misjudged(one: Judged, game: Game) -> list[str]:
    """What is wrong with who takes part in a bundle of several vendors, and with what they are asked for."""
    out, worth = without(one), game.worth()
    chosen = worth.get("jit" if out is None else out)
    best, wrong = max(worth.values()), []
    gap = min(game.counted.weight[v] * row["efficiency_gap"] for v, row in one.rows.items())
    if chosen is None or best - chosen > gap + one.stake:
        wrong.append(f"{list(one.rows)} without {out!r}: worth {chosen}, best {best:g}, gap {gap:g}")
    offered = {v: row for v, row in one.rows.items() if row["status"] == "accepted" or out is None}
    for vendor, row in offered.items():
        exact = game.price(vendor, one.plan, out or "", worth)
        off = row["price_error"] + one.stake / game.counted.weight[vendor]
        if not abs(row["price"] - exact) <= off:
            wrong.append(
                f"{vendor} without {out!r}: {row['price']:g}, exactly {exact:g}, {row['price_error']:g}"
            )
        if out is not None and row["supplier_surplus"] < -(row["efficiency_gap"] + off):
            wrong.append(f"{vendor}: left {row['supplier_surplus']:g}")
    idle = [vendor for vendor in one.rows if vendor not in offered]
    wrong += [f"{v} stays out and pays" for v in idle if one.rows[v]["price"] or one.rows[v]["paid"]]
    return wrong


def reached_by_all(coupled: Coupled, name: str) -> Problem:
    """A product with the lanes of all its vendors."""
    lanes = [offer.unit_cost for key, offer in coupled.offers.items() if key[1] == name]
    return replace(coupled.products[name], supplier_unit_cost=np.concatenate(lanes))


def complain(found: list[str]) -> None:
    assert not found, f"{len(found)} bundles: " + "; ".join(found[:6])
