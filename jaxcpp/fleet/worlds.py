"""Draws of a prior over a fleet's vendors: what no fee changes is agreed on once, any fee is charged after.

Each draw looks at all contracts or at some, others in every draw.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np

from jaxcpp.fleet.batch import Agreed, agree, charge
from jaxcpp.fleet.contracts import Contracts, Index, contracts_alone
from jaxcpp.fleet.data import Fleet, Floats, Ints
from jaxcpp.fleet.fees import Charges, free
from jaxcpp.fleet.pack import Bucket, Packer, Shape
from jaxcpp.fleet.parts import workers
from jaxcpp.fleet.prior import Prior, drawn
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism import status as codes
from jaxcpp.mechanism.contract import Contract
from jaxcpp.mechanism.tuning import NOTHING, Menus, Pairs

Number = Literal["additive", "multiplicative", "roi", "over", "under"]
"""A number of a fee, as `FeeRule` calls it."""

NUMBERS: tuple[Number, ...] = ("additive", "multiplicative", "roi", "over", "under")

FEW = 64
"""Contracts, in all draws, that fill no batch of the usual size."""


@dataclass
class Part:
    """Contracts of one shape; `rows` are its lanes' pairs, `warm` the prices of its last choices."""

    agreed: Agreed
    rows: Index
    warm: Floats | None = None


@dataclass(frozen=True)
class Worlds:
    """Draws of a prior, agreed on: `pairs` of a contract and a draw, and the efficient plan of each."""

    parts: list[Part]  # none where no plan moves
    pairs: Pairs
    efficient: Menus
    contracts: Ints  # (group,) of the whole fleet, looked at or not
    settings: Settings

    def under(self, numbers: tuple[Number, ...], fee: Floats) -> Menus:
        """The plan that each pair's vendor likes best under its own fee (pair, number).

        The search begins at the prices of the one before. A plan that is not certified is none.
        """
        menus = nothing(len(fee), len(numbers))

        def one(part: Part) -> None:
            charges = _charges(part.agreed.bucket, dict(zip(numbers, fee[part.rows].T, strict=True)))
            solved = charge(part.agreed, self.settings, charges, part.warm)
            part.warm = solved.on_schedule
            _note(menus, part.rows, solved.contract, numbers)

        with ThreadPoolExecutor(workers()) as pool:
            list(pool.map(one, self.parts))
        return menus


def moves_plans(numbers: tuple[Number, ...]) -> bool:
    """Whether a fee of these numbers changes which plan a vendor likes best."""
    return numbers != ("additive",)


def nothing(pairs: int, numbers: int) -> Menus:
    """Menus of one place, with no plan in it."""
    return Menus(np.full((pairs, 1), NOTHING), np.zeros((pairs, 1, numbers)))


def draw_worlds(
    fleet: Fleet,
    prior: Prior,
    draws: int,
    seed: int,
    settings: Settings,
    numbers: tuple[Number, ...],
    group: tuple[Ints, int],
    sample: int | None = None,
    on_draw: Callable[[], None] = lambda: None,
) -> Worlds:
    """Draw vendors' costs, and agree on just-in-time and the efficient plan of every contract looked at.

    `group` gives the group of each contract of the fleet, and their number; `sample` how many contracts
    each draw looks at, by default all.

    Raises:
        CoupledContractsError: some contracts are tied together.
        PriorError: the prior does not fit the fleet.
    """
    found, (of, groups) = contracts_alone(fleet), group
    count = len(found) if sample is None else min(sample, len(found))
    if draws * count <= FEW and settings.batch is None:
        settings = replace(settings, batch=1 << (draws * count - 1).bit_length())
    menus, stays = nothing(draws * count, len(numbers)), not moves_plans(numbers)
    contracts: list[Index] = []
    buckets: list[Bucket] = []
    parts: list[Part] = []
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        world = drawn(prior, fleet, rng)
        picked = np.sort(rng.permutation(len(found))[:count])
        some = Contracts(*(part[picked] for part in (found.ids, found.offer, found.vendor, found.product)))
        buckets += [
            replace(bucket, contract=draw * count + bucket.contract)
            for bucket in Packer(world, some).buckets()
        ]
        if stays:  # one plan each is all there is to know: what was agreed on need not be kept
            _agreed(buckets, settings, menus, numbers)
            buckets = []
        contracts.append(picked)
        on_draw()
    if not stays:
        parts = _agreed(_joined(buckets), settings, menus, numbers)
    pairs = Pairs(
        of[np.concatenate(contracts)], np.repeat(np.arange(draws), count), np.maximum(menus.worth[:, 0], 0.0),
        groups, draws, len(found) / count,
    )  # fmt: skip
    return Worlds(parts, pairs, menus, np.bincount(of, minlength=groups).astype(np.int32), settings)


def _joined(buckets: list[Bucket]) -> list[Bucket]:
    """Buckets of one shape as one: their batches are filled by contracts of several draws."""
    groups: dict[Shape, list[Bucket]] = {}
    for bucket in buckets:
        groups.setdefault(bucket.shape, []).append(bucket)
    joined = []
    for shape, some in groups.items():
        trees = [(each.contract, each.lanes, each.nodes, each.region, each.source) for each in some]
        joined.append(Bucket(shape, *jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)))
    return joined


def _agreed(
    buckets: list[Bucket], settings: Settings, menus: Menus, numbers: tuple[Number, ...]
) -> list[Part]:
    """Just-in-time and the efficient plans of some buckets, which are written into the menus."""

    def one(bucket: Bucket) -> Part:
        agreed = agree(bucket, settings, _nobody)
        contract = charge(agreed, settings, free(len(bucket.contract))).contract
        _note(menus, bucket.contract, contract, numbers)
        return Part(agreed, bucket.contract)

    with ThreadPoolExecutor(workers()) as pool:
        return list(pool.map(one, buckets))


def _charges(bucket: Bucket, numbers: dict[Number, Floats]) -> Charges:
    """One number a lane and kind of fee; on deviations, the same at every node and in every week."""
    none, real = np.zeros(len(bucket.contract)), np.repeat(bucket.nodes >= 0, bucket.shape.weeks, axis=1)
    shares = [numbers[name] for name in ("multiplicative", "roi") if name in numbers]
    sides: list[Any] = [None, None]
    if "over" in numbers or "under" in numbers:
        sides = [np.where(real, numbers.get(name, none)[:, None], 0.0) for name in ("over", "under")]
    return Charges(
        np.array(numbers.get("additive", none)), none, sum(shares[1:], shares[0]) if shares else None, *sides
    )


def _note(menus: Menus, rows: Index, contract: Contract, numbers: tuple[Number, ...]) -> None:
    """Write down the plans on offer, what they are worth to their vendors, and what is charged on them."""
    moved, code = np.asarray(contract.plan - contract.order), np.asarray(contract.code)
    on = {
        "additive": np.ones(len(rows)), "multiplicative": contract.cbt, "roi": contract.cbt,
        "over": np.maximum(moved, 0.0).sum(axis=1), "under": np.maximum(-moved, 0.0).sum(axis=1),
    }  # fmt: skip
    offered = (code == codes.ACCEPTED) | (code == codes.DECLINED)
    menus.worth[rows, 0] = np.where(offered, contract.supplier_surplus + contract.fee, NOTHING)
    menus.units[rows, 0] = np.where(offered[:, None], np.stack([on[name] for name in numbers], axis=1), 0.0)


def _nobody(*_: Any) -> None:
    """Contracts that nobody is told of."""
