"""The worked example of arXiv:2605.16695, section 7, to the cent, by both methods."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxcpp import AdditiveFee, Contract, Retailer, Supplier, coordinate
from tests.mechanism.batches import METHODS, Method

CENT = 0.005
RETAILER = Retailer(unit_cost=[[1, 5], [2, 3]], demand=[40, 60], margin=20)
SUPPLIER = Supplier(unit_cost=[[10, 5], [1, 2]], capacity=[100, 10], margin=20)


@pytest.fixture(params=METHODS, scope="module")
def offer(request: pytest.FixtureRequest):
    """The contract at a fee: one program a method. ADMM certifies less, and to the cent all the same."""
    method: Method = request.param
    tolerance = {"newton": 1e-6, "admm": 1e-5}[method]

    @jax.jit
    def at(alpha: jax.Array) -> Contract:
        return coordinate(RETAILER, SUPPLIER, AdditiveFee(alpha), method=method, tolerance=tolerance)

    return lambda alpha: at(np.float64(alpha))


def test_just_in_time(offer):
    contract = offer(50.0)
    np.testing.assert_allclose(contract.jit, [40, 60], rtol=1e-12)
    assert contract.retailer.cost_jit == pytest.approx(220, abs=CENT)
    assert contract.supplier.cost_jit == pytest.approx(610, abs=CENT)
    assert contract.retailer.utility_jit == pytest.approx(1780, abs=CENT)
    assert contract.supplier.utility_jit == pytest.approx(1390, abs=CENT)
    assert contract.ordered == pytest.approx(100, abs=1e-9)
    assert contract.filled


def test_first_best_and_the_transfer(offer):
    contract = offer(50.0)
    # The best plan is unique here. Its cost rises by 6 a unit moved, so the certificate bounds the plan.
    np.testing.assert_allclose(contract.plan, [10, 90], atol=contract.certificate.efficiency_gap + 1e-9)
    assert contract.retailer.cost_plan == pytest.approx(250, abs=CENT)
    assert contract.supplier.cost_plan == pytest.approx(460, abs=CENT)
    assert contract.chain_cost == pytest.approx(710, abs=CENT)
    assert contract.retailer.utility_plan == pytest.approx(1750, abs=CENT)
    assert contract.supplier.utility_plan == pytest.approx(1540, abs=CENT)
    assert contract.gain == pytest.approx(120, abs=CENT)
    assert contract.cbt == pytest.approx(30, abs=CENT)
    assert contract.fee == 50
    assert contract.price == pytest.approx(80, abs=CENT)
    assert contract.supplier_surplus == pytest.approx(70, abs=CENT)
    assert contract.status == "accepted"
    assert contract.paid == contract.price
    np.testing.assert_array_equal(contract.issued, contract.plan)
    # The retailer keeps the fee: its utility at the plan and the payment, over just-in-time.
    kept = contract.retailer.utility_plan + contract.paid - contract.retailer.utility_jit
    assert kept == pytest.approx(50, abs=CENT)


def test_what_both_transfers_together_would_leave_the_principal(offer):
    """Section 3.2: stand-alone utilities less first best, 1780 + 1390 - 3290, a deficit of the gain."""
    assert offer(0.0).budget == pytest.approx(-120, abs=CENT)


def test_the_certificate_holds_and_is_small(offer):
    contract = offer(0.0)
    joint = contract.retailer.utility_plan + contract.supplier.utility_plan
    assert 3290 - joint <= contract.certificate.efficiency_gap
    # Of the plan as issued: each unit at the first node serves the first region, and saves 1 there.
    assert abs(contract.cbt - (40 - contract.plan[0])) <= contract.certificate.price_error
    assert contract.certificate.efficiency_gap <= 1e-5 * 710 * (1 + 1e-9)
    assert contract.certificate.price_error <= CENT


@pytest.mark.parametrize(
    ("alpha", "status"),
    [(0.0, "accepted"), (50.0, "accepted"), (119.99, "accepted"), (120.01, "declined"), (500.0, "declined")],
)
def test_accepted_below_a_fee_of_120(offer, alpha, status):
    contract = offer(alpha)
    assert contract.status == status
    assert contract.supplier_surplus == pytest.approx(120 - alpha, abs=CENT)
    assert contract.price == pytest.approx(30 + alpha, abs=CENT)
    assert bool(contract.accepted) == (status == "accepted")
    if status == "declined":
        assert contract.paid == 0
        np.testing.assert_array_equal(contract.issued, contract.jit)


def test_not_accepted_at_exactly_120(offer):
    """The supplier is then indifferent; its stated surplus is that of flows that exist."""
    contract = offer(120.0)
    assert contract.status == "declined"
    certificate = contract.certificate
    assert abs(contract.supplier_surplus) <= certificate.efficiency_gap + certificate.price_error
    assert contract.paid == 0


def test_no_fee_by_default():
    contract = coordinate(RETAILER, SUPPLIER)
    assert contract.fee == 0
    assert contract.price == contract.cbt == contract.paid
    assert contract.supplier_surplus == pytest.approx(120, abs=CENT)
