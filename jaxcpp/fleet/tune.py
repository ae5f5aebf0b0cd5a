"""Additive fees for a whole fleet, tuned on draws of a prior over its vendors' costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.data import Fleet, Floats, Ints
from jaxcpp.fleet.prior import Prior, drawn, segments
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.mechanism import tuning

By = Literal["fleet", "segment", "vendor"]
GRID = 101
"""Fees of the plain search that the tuned one is compared with."""

HIGHEST = 0.995
"""Quantile of the gains up to which the grid goes."""


@dataclass(frozen=True)
class Goal:
    """What fees are tuned for, in expectation: the fees taken, and `weight` times what vendors keep.

    At least a share `floor` of the contracts with a gain must accept; each group of `by` has one fee.
    """

    by: By = "fleet"
    weight: float = 0.0
    floor: float = 0.0


@dataclass(frozen=True)
class Tuned:
    """Fees by group with what they bring on fresh draws, and the grid's curve on the draws tuned on."""

    groups: Columns
    curve: Columns


def gains(
    fleet: Fleet,
    prior: Prior,
    draws: int,
    seed: int,
    settings: Settings,
    on_draw: Callable[[], None] = lambda: None,
) -> Floats:
    """What each contract's vendor gains without a fee, (contract, draw) [currency]; 0 where it stays.

    A draw's search begins at the prices of the one before.

    Raises:
        CoupledContractsError: some contracts are tied together.
        PriorError: the prior does not fit the fleet.
    """
    found, prices, columns = contracts_alone(fleet), None, []
    for draw in range(draws):
        world = drawn(prior, fleet, np.random.default_rng([seed, draw]))
        run = plan_fleet(world, settings, yesterday=prices)
        prices = run.prices
        accepts = np.asarray(run.contracts["status"], str) == "accepted"
        columns.append(np.where(accepts, np.asarray(run.contracts["supplier_surplus"], float), 0.0))
        on_draw()
    return np.stack(columns, axis=1) if columns else np.zeros((len(found), 0))


def groups_of(fleet: Fleet, prior: Prior, by: By) -> tuple[list[str], Ints]:
    """The names of the groups that get a fee each, and the group of every contract."""
    vendor = contracts_alone(fleet).vendor
    if by == "fleet":
        return ["all"], np.zeros(len(vendor), np.int32)
    if by == "vendor":
        return [str(name) for name in fleet.vendor_ids], vendor.astype(np.int32)
    names, of = segments(prior, fleet)
    return names, of[vendor]


def tune_fees(seen: Floats, fresh: Floats, names: list[str], group: Ints, goal: Goal, seed: int) -> Tuned:
    """Fees tuned on the gains `seen`, judged on `fresh` ones, beside a plain grid search on the same."""
    count, how = len(names), {"weight": goal.weight, "floor": goal.floor}
    fee = tuning.tune(seen, group, count, seed=seed, **how)
    error = tuning.standard_error(seen, group, count, seed=seed, **how)
    able = seen[seen > 0.0]
    grid = np.linspace(0.0, float(np.quantile(able, HIGHEST)) if len(able) else 1.0, GRID)
    on_grid, curve = tuning.by_grid(seen, group, count, grid, **how)
    value, plain = tuning.worth(fee, fresh, group), tuning.worth(on_grid, fresh, group)
    groups: Columns = {
        "group": names,
        "contracts": np.bincount(group, minlength=count).astype(np.int32),
        "fee": fee, "fee_error": error,
        "take": value.take, "take_error": value.take_error,
        "kept": value.kept, "kept_error": value.kept_error,
        "participation": value.participation,
        "grid_fee": on_grid, "grid_take": plain.take, "grid_kept": plain.kept,
    }  # fmt: skip
    return Tuned(groups, {
        "group": np.repeat(names, len(grid)),
        "fee": np.tile(grid, count),
        **{name: np.stack([getattr(each, name) for each in curve], axis=1).ravel()
           for name in ("take", "kept", "participation")},
    })  # fmt: skip
