"""A vendor of hundreds of products that share its capacity: one contract, and little more work a product."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.fleet.bundle_solve import BundleSolved, solve_bundles
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.settings import Settings
from tests.coupled import Kind, random_coupled, tables_of
from tests.fleets import read
from tests.oracles.coupled import joint_utility

TOLERANCE = 1e-5


def solved(products: int, folder) -> tuple[BundleSolved, float]:
    """The one bundle of a vendor of so many products, and the exact joint utility."""
    coupled = random_coupled(1, Kind(products=products, flags={"lost_sales": False, "leftovers": False}))
    fleet = read(tables_of({"many-": coupled}).tables(), folder / str(products))
    (part,) = solve_bundles(fleet, bundles(fleet), Settings(tolerance=TOLERANCE), lambda *_: None)
    assert [len(piece.bundle.products) for piece in part.bucket.pieces] == [products]
    return part, joint_utility(coupled)[0]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_six_hundred_products_of_a_vendor_are_one_certified_contract(tmp_path):
    few, _ = solved(75, tmp_path)
    many, best = solved(600, tmp_path)
    account = many.settlement
    reached = float(np.sum(account.retailer_utility_plan + account.supplier_utility_plan))
    spent = float(np.sum(account.retailer_cost_plan + account.supplier_cost_plan))
    gap = float(account.efficiency_gap[0, 0])
    assert gap <= TOLERANCE * spent * 1.01
    assert -1e-8 * abs(best) <= best - reached <= gap + 1e-8 * abs(best)
    assert account.accepted.all()
    # Eight times the products: as many rounds but for a few, on arrays that grow no faster than they.
    rounds = [int(part.agreed.outcome.rounds[0]) for part in (few, many)]
    assert rounds[1] <= 1.5 * rounds[0]
    assert many.bucket.size <= 1.25 * 8 * few.bucket.size
