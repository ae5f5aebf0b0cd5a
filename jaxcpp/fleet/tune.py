"""Fees for a whole fleet, tuned on draws of a prior over its vendors' costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.data import Fleet, Floats, Ints
from jaxcpp.fleet.prior import Prior, segments
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.worlds import NUMBERS, Number, Worlds, moves_plans, nothing
from jaxcpp.mechanism import tuning
from jaxcpp.mechanism.tuning import Fee, Menus, Pairs, Worth

By = Literal["fleet", "segment", "vendor"]
Numbers = tuple[Number, ...]

GRID = {False: 101, True: 16}
"""Fees of the plain search that the tuned one is compared with, where plans stay and where they move."""
HIGHEST = {False: 0.995, True: 0.9}
"""Quantile of what contracts would bear up to which that search goes, likewise."""

SPREADS = (None, 0.5, 0.2, 0.05, 0.0, 0.0)
"""How far around the best fee so far vendors are asked for their plans, as a standard deviation of the
logarithm, round by round: first anywhere."""
ANYWHERE = (0.05, 0.95)
"""Quantiles of what contracts would bear that "anywhere" lies between."""
SAME = 1e-3
"""Of a contract's gain: plans that are worth and charged the same to within this are one."""

OnTune = Callable[[str, int, int, float], None]
"""Told what is being done, how much of it is done of how much, and the objective [currency]."""


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
    """What the fees of each group bring on fresh draws, the fees, and a grid's on the draws tuned on."""

    groups: Columns
    fees: Columns
    curve: Columns


def groups_of(fleet: Fleet, prior: Prior, by: By) -> tuple[list[str], Ints]:
    """The names of the groups that get a fee each, and the group of every contract."""
    vendor = contracts_alone(fleet).vendor
    if by == "fleet":
        return ["all"], np.zeros(len(vendor), np.int32)
    if by == "vendor":
        return [str(name) for name in fleet.vendor_ids], vendor.astype(np.int32)
    names, of = segments(prior, fleet)
    return names, of[vendor]


def tune_fees(
    seen: Worlds,
    fresh: Worlds,
    numbers: Numbers,
    names: list[str],
    goal: Goal,
    seed: int,
    on_tune: OnTune = lambda *_: None,
) -> Tuned:
    """Fees tuned on the draws `seen`, judged on `fresh` ones, beside a plain grid search on the same."""
    how = {"weight": goal.weight, "floor": goal.floor}
    fee, menus = best_fee(seen, numbers, goal, seed, on_tune)
    on_grid, points, curve = by_grid(seen, numbers, goal, on_tune)
    on_tune(
        "resampling", 0, 1, float(tuning.objective(tuning.worth(fee, menus, seen.pairs), goal.weight).sum())
    )
    error = tuning.standard_error(fee, menus, seen.pairs, seed=seed, **how)
    value, plain = (brought(fresh, numbers, each) for each in (fee, on_grid))
    groups: Columns = {
        "group": names,
        "contracts": seen.contracts,
        "take": value.take, "take_error": value.take_error,
        "kept": value.kept, "kept_error": value.kept_error,
        "participation": value.participation,
        "grid_take": plain.take, "grid_kept": plain.kept,
    }  # fmt: skip
    count = len(names)
    fees: Columns = {
        "group": np.repeat(names, len(numbers)), "number": np.tile(numbers, count),
        "fee": fee.ravel(), "fee_error": error.ravel(), "grid_fee": on_grid.ravel(),
    }  # fmt: skip
    asked = {
        name: points[:, numbers.index(name)] if name in numbers else np.zeros(len(points)) for name in NUMBERS
    }
    return Tuned(groups, fees, {
        "group": np.repeat(names, len(points)),
        **{name: np.tile(values, count) for name, values in asked.items()},
        **{name: np.stack([getattr(each, name) for each in curve], axis=1).ravel()
           for name in ("take", "kept", "participation")},
    })  # fmt: skip


def brought(worlds: Worlds, numbers: Numbers, fee: Fee) -> Worth:
    """What a fee brings with every vendor's own choice under it."""
    menus = worlds.efficient
    if moves_plans(numbers):
        menus = worlds.under(numbers, fee[worlds.pairs.group])
    return tuning.worth(fee, menus, worlds.pairs)


def best_fee(
    worlds: Worlds, numbers: Numbers, goal: Goal, seed: int, on_tune: OnTune = lambda *_: None
) -> tuple[Fee, Menus]:
    """The fee that is best on some draws, and the menus that it was found on.

    Where plans move, menus grow by rounds: each pair's vendor is asked for its plan under a fee near the
    best one on the menus so far. In the last rounds that fee itself is asked, and the best of those counts.
    """
    rounds = SPREADS if moves_plans(numbers) else (0.0,)
    rng, pairs = np.random.default_rng(seed), worlds.pairs
    menus = worlds.efficient
    for _ in rounds if moves_plans(numbers) else ():
        menus = menus.beside(nothing(len(pairs.gain), len(numbers)))
    best, value = np.zeros((pairs.groups, len(numbers))), np.zeros(pairs.groups)
    value = tuning.objective(tuning.worth(best, worlds.efficient, pairs), goal.weight)
    for number, spread in enumerate(rounds):
        if spread is None:
            _add(menus, 1, worlds.under(numbers, _anywhere(worlds, rng)), pairs)
            continue

        def told(piece: int, reached: float, before: int = number * tuning.PIECES) -> None:
            on_tune("fees", before + piece, len(rounds) * tuning.PIECES, reached)

        fee = tuning.tune(
            menus, pairs, weight=goal.weight, floor=goal.floor, seed=seed + number, on_steps=told
        )
        if not moves_plans(numbers):
            return fee, menus
        apart = np.exp(spread * rng.standard_normal((len(pairs.gain), len(numbers))))
        found = worlds.under(numbers, fee[pairs.group] * apart)
        _add(menus, number + 1, found, pairs)
        if spread == 0.0:
            # Vendors' own plans are worth a certificate more or less: the floor holds for them, too.
            fee = tuning.held(fee, found, pairs, goal.floor)
            reached = tuning.objective(tuning.worth(fee, found, pairs), goal.weight)
            best, value = np.where((reached > value)[:, None], fee, best), np.maximum(reached, value)
    return best, menus


def by_grid(
    worlds: Worlds, numbers: Numbers, goal: Goal, on_tune: OnTune = lambda *_: None
) -> tuple[Fee, Floats, list[Worth]]:
    """The best fee of each group on a grid, the grid (fee, number), and what each of its fees brings."""
    moves = moves_plans(numbers)
    everybody = worlds.pairs._replace(group=np.zeros_like(worlds.pairs.group), groups=1)
    top = tuning.scales(worlds.efficient, everybody, np.array([HIGHEST[moves]]))[0, 0]
    points = _lattice(max(round(GRID[moves] ** (1.0 / len(numbers))), 2), len(numbers)) * top
    curve, best, value = (
        [],
        np.zeros((worlds.pairs.groups, len(numbers))),
        np.full(worlds.pairs.groups, -np.inf),
    )
    for at, point in enumerate(points):
        curve.append(brought(worlds, numbers, np.tile(point, (worlds.pairs.groups, 1))))
        reached = tuning.objective(curve[-1], goal.weight)
        reached = np.where((curve[-1].participation >= goal.floor) | ~point.any(), reached, -np.inf)
        best, value = np.where((reached > value)[:, None], point, best), np.maximum(reached, value)
        on_tune("grid", at + 1, len(points), float(value.sum()))
    return best, points, curve


def _lattice(each: int, numbers: int) -> Floats:
    """Points from 0 to 1 along every number, each beside the one before."""
    points: list[tuple[float, ...]] = [()]
    for _ in range(numbers):
        points = [
            (float(step), *rest)
            for row, step in enumerate(np.linspace(0.0, 1.0, each))
            for rest in (points if row % 2 == 0 else points[::-1])
        ]
    return np.asarray(points)


def _anywhere(worlds: Worlds, rng: np.random.Generator) -> Floats:
    """A fee of its own for every pair (pair, number), all over what contracts would bear."""
    pairs = worlds.pairs
    everybody = pairs._replace(group=np.zeros_like(pairs.group), groups=1)
    low, high = np.log(tuning.scales(worlds.efficient, everybody, np.array(ANYWHERE))[:, 0])
    fee = np.exp(rng.uniform(low, high, (len(pairs.gain), len(low))))
    return np.asarray(rng.dirichlet(np.ones(len(low)), len(pairs.gain)) * fee)


def _add(menus: Menus, place: int, found: Menus, pairs: Pairs) -> None:
    """Put plans into the menus, but for those that are there already: a choice must not count one twice."""
    size = SAME * np.maximum(pairs.gain, 1e-12)
    units = found.units[:, :1]
    near = np.abs(menus.worth - found.worth) <= size[:, None]
    near &= (np.abs(menus.units - units) <= SAME * np.abs(units)).all(axis=2)
    known = near[:, :place].any(axis=1)
    menus.worth[:, place] = np.where(known, tuning.NOTHING, found.worth[:, 0])
    menus.units[:, place] = np.where(known[:, None], 0.0, found.units[:, 0])
