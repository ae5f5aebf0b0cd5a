"""A fee tuned on half of the vendors, judged on the other half: `python -m bench tuned-halves`.

The other half's own fee, tuned on its own draws, is what could have been had there. A fee that moves plans
is tuned on a sample of the contracts of each half.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import where
from bench.peers.jaxcpp_batch import settle_backend
from jaxcpp.cli.tune import KINDS
from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.data import Fleet, Offers
from jaxcpp.fleet.prior import Prior
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.tune import Goal, best_fee, brought
from jaxcpp.fleet.worlds import Worlds, draw_worlds, moves_plans
from jaxcpp.mechanism.tuning import Menus, Pairs, Worth, standard_error, tune, worth
from jaxcpp.tables import read_fleet

RESULTS = Path(__file__).resolve().parent / "results"
SETTINGS = Settings(tolerance=1e-4)

Row = dict[str, Any]


def of_vendors(worlds: Worlds, half: NDArray[np.bool_]) -> tuple[Menus, Pairs]:
    """The menus of some contracts, by a mask over the fleet's."""
    pairs, menus = worlds.pairs, worlds.efficient
    rows = np.tile(half, pairs.draws)
    some = pairs._replace(group=pairs.group[rows], draw=pairs.draw[rows], gain=pairs.gain[rows])
    return Menus(menus.worth[rows], menus.units[rows]), some


def half_of(fleet: Fleet, half: NDArray[np.bool_]) -> Fleet:
    """The fleet with the offers of some vendors only, by a mask over its vendors."""
    rows = half[fleet.offers.vendor]
    offers = Offers(*(getattr(fleet.offers, part.name)[rows] for part in dataclasses.fields(Offers)))
    return dataclasses.replace(fleet, offers=offers)


def first_half(fleet: Fleet, split: int) -> NDArray[np.bool_]:
    """Half of the vendors, at random."""
    vendors = len(fleet.vendor_ids)
    chosen = np.random.default_rng(split).permutation(vendors)[: vendors // 2]
    return np.isin(np.arange(vendors), chosen)


def told(name: str, fee: NDArray[Any], error: NDArray[Any], value: Worth) -> Row:
    """A half's fee and what it brings on the other, as entries of a row."""
    return {
        f"{name}_fee": fee[0].tolist(), f"{name}_fee_error": error[0].tolist(),
        f"{name}_take": float(value.take[0]), f"{name}_take_error": float(value.take_error[0]),
        f"{name}_participation": float(value.participation[0]),
    }  # fmt: skip


def where_plans_stay(fleet: Fleet, prior: Prior, draws: int, splits: int) -> list[Row]:
    """An additive fee: all draws are agreed on once, and cut in two as often as asked."""
    vendor = contracts_alone(fleet).vendor
    everybody = np.zeros(len(vendor), np.int32), 1
    seen, fresh = (
        draw_worlds(fleet, prior, draws, seed, SETTINGS, ("additive",), everybody) for seed in (0, 1)
    )
    rows: list[Row] = []
    for split in range(splits):
        first = first_half(fleet, split)[vendor]
        row: Row = {"split": split, "contracts": int((~first).sum())}
        for name, half in (("tuned", first), ("own", ~first)):
            known = of_vendors(seen, half)
            fee = tune(*known)
            row |= told(name, fee, standard_error(fee, *known), worth(fee, *of_vendors(fresh, ~first)))
        rows.append(row)
        print(row)  # noqa: T201
    return rows


def where_they_move(
    fleet: Fleet, prior: Prior, draws: int, splits: int, kind: str, sample: int | None
) -> list[Row]:
    """Any other fee: each half is a fleet of its own, judged on the other one and on itself."""
    numbers, rows = KINDS[kind], []
    for split in range(splits):
        first = first_half(fleet, split)
        halves = [half_of(fleet, half) for half in (first, ~first)]
        worlds = [
            [
                draw_worlds(half, prior, draws, seed, SETTINGS, numbers,
                            (np.zeros(len(contracts_alone(half)), np.int32), 1), sample)
                for half in halves
            ]
            for seed in (2 * split, 2 * split + 1)
        ]  # fmt: skip
        found = []
        for half in worlds[0]:
            fee, menus = best_fee(half, numbers, Goal(), split)
            found.append((fee, standard_error(fee, menus, half.pairs)))
        for judged, other in ((1, 0), (0, 1)):
            row: Row = {"split": split, "contracts": int(worlds[1][judged].contracts.sum())}
            for name, tuned_on in (("tuned", other), ("own", judged)):
                fee, error = found[tuned_on]
                row |= told(name, fee, error, brought(worlds[1][judged], numbers, fee))
            rows.append(row)
            print(row)  # noqa: T201
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Draw, split, tune, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fleet", nargs="?", default="examples/iowa")
    parser.add_argument("--fee", choices=tuple(KINDS), default="additive")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--common", type=float, default=0.2)
    parser.add_argument("--own", type=float, default=0.1)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--sample", type=int, help="contracts of each half in a draw, where plans move")
    asked = parser.parse_args(arguments)
    settle_backend()
    fleet, _ = read_fleet(asked.fleet)
    prior = Prior(asked.common, asked.own)
    if moves_plans(KINDS[asked.fee]):
        rows = where_they_move(fleet, prior, asked.draws, asked.splits, asked.fee, asked.sample)
    else:
        rows = where_plans_stay(fleet, prior, asked.draws, asked.splits)
    kind = "" if asked.fee == "additive" else f"-{asked.fee.replace('=', '-')}"
    result = {**{key: value for key, value in vars(asked).items() if key != "fleet"}, **where()}
    name = Path(asked.fleet).name
    path = RESULTS / f"tuned-halves-{name}{kind}.json"
    path.write_text(json.dumps({"fleet": name, **result, "splits": rows}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
