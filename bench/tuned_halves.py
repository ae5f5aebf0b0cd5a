"""An additive fee tuned on half of the vendors, judged on the other half: `python -m bench tuned-halves`.

The other half's own fee, tuned on its own draws, is what could have been had there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.machine import where
from bench.peers.jaxcpp_batch import settle_backend
from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.prior import Prior
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.worlds import Worlds, draw_worlds
from jaxcpp.mechanism.tuning import Menus, Pairs, standard_error, tune, worth
from jaxcpp.tables import read_fleet

RESULTS = Path(__file__).resolve().parent / "results"


def of_vendors(worlds: Worlds, half: NDArray[np.bool_]) -> tuple[Menus, Pairs]:
    """The menus of some contracts, by a mask over the fleet's."""
    pairs, menus = worlds.pairs, worlds.efficient
    rows = np.tile(half, pairs.draws)
    some = pairs._replace(group=pairs.group[rows], draw=pairs.draw[rows], gain=pairs.gain[rows])
    return Menus(menus.worth[rows], menus.units[rows]), some


def main(arguments: list[str] | None = None) -> int:
    """Draw, split, tune, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fleet", nargs="?", default="examples/iowa")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--common", type=float, default=0.2)
    parser.add_argument("--own", type=float, default=0.1)
    parser.add_argument("--splits", type=int, default=5)
    asked = parser.parse_args(arguments)
    settle_backend()
    fleet, _ = read_fleet(asked.fleet)
    prior, settings = Prior(asked.common, asked.own), Settings(tolerance=1e-4)
    vendor = contracts_alone(fleet).vendor
    everybody = np.zeros(len(vendor), np.int32), 1
    seen, fresh = (
        draw_worlds(fleet, prior, asked.draws, seed, settings, ("additive",), everybody) for seed in (0, 1)
    )
    rows = []
    for split in range(asked.splits):
        order = np.random.default_rng(split).permutation(len(fleet.vendor_ids))
        first = np.isin(vendor, order[: len(order) // 2])
        halves = {}
        for name, half in (("tuned", first), ("own", ~first)):
            known = of_vendors(seen, half)
            fee = tune(*known)
            halves[name] = fee, standard_error(fee, *known)
        row: dict[str, float] = {"split": split, "contracts": int((~first).sum())}
        for name, (fee, error) in halves.items():
            value = worth(fee, *of_vendors(fresh, ~first))
            row |= {f"{name}_fee": float(fee[0, 0]), f"{name}_fee_error": float(error[0, 0])}
            row |= {f"{name}_take": float(value.take[0]), f"{name}_take_error": float(value.take_error[0])}
        rows.append(row)
        print({name: round(value, 2) for name, value in row.items()})  # noqa: T201
    name = Path(asked.fleet).name
    result = {"fleet": name, "draws": asked.draws, "common": asked.common, "own": asked.own, **where()}
    path = RESULTS / f"tuned-halves-{name}.json"
    path.write_text(json.dumps({**result, "splits": rows}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
