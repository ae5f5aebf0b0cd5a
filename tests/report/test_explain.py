"""One contract in words, every ending, to the letter."""

from __future__ import annotations

import pytest

from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.report import ContractError, ReportError, contract_of, explain, read_names
from tests.report.runs import EVERY, EVERY_PLAN, NAN, SHORT, arrivals, contract, every, write

CERTAIN = (
    "What is certain: any other plan there is would be worth less than a cent more to the two "
    "together, and with both sides' exact costs the price of this plan would differ by less than "
    "a cent."
)


@pytest.fixture
def run(tmp_path):
    return every(tmp_path / "run")


def one(tmp_path, row, plans=(), **info):
    return explain(write(tmp_path / "one", [row], list(plans), **info), row["contract_id"])


def test_accepted(run):
    assert explain(run, "acme:bolt") == [
        "Contract acme:bolt: vendor acme, product bolt.",
        (
            "Just in time, 100 units arrive: 40 at east in the week of 26 Feb and 60 at west in the week "
            "of 26 Feb. That costs the retailer USD 220.00 and the vendor USD 610.00, USD 830.00 "
            "together."
        ),
        (
            "Under the plan it is 10 at east in the week of 26 Feb (30 fewer) and 90 at west in the week "
            "of 26 Feb (30 more). It costs the retailer USD 250.00 (30.00 more) and the vendor USD 460.00"
            " (150.00 less), USD 710.00 together: USD 120.00 less, 14.46% of what they spent just in "
            "time."
        ),
        (
            "The vendor pays USD 80.00: USD 30.00 for what the change of plan costs the retailer, and USD"
            " 50.00 as the fee."
        ),
        (
            "Before paying, the vendor is USD 150.00 better off with the plan than just in time; it pays "
            "USD 80.00 and keeps USD 70.00. The retailer is USD 30.00 worse off with it, receives USD "
            "80.00 and ends USD 50.00 better off."
        ),
        CERTAIN,
    ]


def test_declined(run):
    assert explain(run, "best:cog")[2:] == [
        (
            "There was an offer. It would cost the retailer USD 250.00 (30.00 more) and the vendor USD "
            "460.00 (150.00 less), USD 710.00 together: USD 120.00 less, 14.46% of what they spent just "
            "in time. The price would have been USD 530.00: USD 30.00 for what the change of plan costs "
            "the retailer, and USD 500.00 as the fee."
        ),
        (
            "To the vendor the plan is worth USD 150.00, less than its price: it declines, just-in-time "
            "stands and nothing is paid. With a fee below USD 120.00 it would accept."
        ),
        CERTAIN,
    ]


def test_no_gain(run):
    assert explain(run, "acme:nut")[1:] == [
        (
            "Just in time, 12.5 units arrive: 5 at east in the week of 26 Feb and 7.5 at west in the week"
            " of 4 Mar. That costs the retailer USD 220.00 and the vendor USD 610.00, USD 830.00 "
            "together."
        ),
        (
            "That is already the best plan: any other there is would be worth less than a cent more. "
            "Nothing changes and nothing is paid."
        ),
    ]


def test_infeasible(run):
    assert explain(run, "best:gear")[1:] == [f"There is no plan: {SHORT}. Nothing is paid."]


def test_not_certified(run):
    assert explain(run, EVERY[-1]["contract_id"])[2:] == [
        (
            "A better plan was looked for, and none could be certified to 0.001% of its cost within 400 "
            "rounds; the best plan found may be up to USD 2.50 from the best. So just-in-time stands and "
            "nothing is paid. Allow more rounds with --max-rounds, or a wider tolerance with --tolerance."
        )
    ]


def test_a_vendor_that_confirms_a_part(tmp_path):
    row = contract(
        "a:x", "accepted", retailer_cost_jit=NAN, retailer_utility_jit=NAN, gain=NAN,
        reason="the vendor can confirm 8 of the 9 units ordered just in time, which leaves 1 units unserved "
               "that must be served",
    )  # fmt: skip
    text = one(tmp_path, row, arrivals("a:x", "x", ("n", 0, 8.0, 9.0)), first_week="")
    assert text[1] == (
        "Just in time, 8 units arrive: 8 at n. That does not serve all demand that must be served, so"
        " it has no cost to compare with. Of that order the vendor can confirm 8 of the 9 units "
        "ordered just in time, which leaves 1 units unserved that must be served."
    )
    assert text[2] == (
        "Under the plan it is 9 at n (1 more). It costs the retailer USD 250.00 and the vendor USD "
        "460.00 (150.00 less), USD 710.00 together."
    )
    assert text[4] == (
        "Before paying, the vendor is USD 150.00 better off with the plan than just in time; it pays "
        "USD 80.00 and keeps USD 70.00."
    )


def test_several_vendors_and_one_of_them_unwilling(tmp_path):
    reason = "another vendor of these products declines: just-in-time stands for all of them"
    rows = [
        contract("a:x", "declined", product_ids=["x", "y"], reason=reason, fee=0.0, price=30.0),
        contract("b:x", "declined", product_ids=["x"]),
    ]
    text = explain(write(tmp_path / "run", rows, EVERY_PLAN[:1]), "a:x")
    assert text[0] == (
        "Contract a:x: vendor a, 2 products (x, y). It is planned together with 1 other contract of "
        "the same products."
    )
    assert "USD 30.00 for what the change of plan costs the retailer and the other vendors" in text[2]
    assert text[3] == f"It is not carried out: {reason}. Nothing is paid."
    assert "more to the contracts planned together" in text[4]


def test_a_plan_of_many_places_is_told_by_its_largest_changes(tmp_path):
    cells = [(f"n{node}", week, 10.0, 10.0) for node in range(4) for week in range(2)]
    cells[0], cells[3] = ("n0", 0, 10.0, 4.0), ("n1", 1, 10.0, 15.0)
    cells[6] = ("n3", 0, 10.0, 11.0)
    text = one(tmp_path, contract("a:x", "accepted"), arrivals("a:x", "x", *cells), first_week="")
    assert text[1].startswith("Just in time, 80 units arrive at 4 inbound nodes over 2 weeks.")
    assert text[2].startswith(
        "Under the plan 6 of them (7.50%) arrive elsewhere: 6 at another inbound node. The largest "
        "changes: 6 fewer at n0 in week 0, 5 more at n1 in week 1 and 1 more at n3 in week 0."
    )


def test_amounts_said_add_up_to_the_cent(tmp_path):
    row = contract(
        "a:x", "accepted", fee=0.0, retailer_cost_jit=50.394, supplier_cost_jit=94.594,
        retailer_cost_plan=58.8, supplier_cost_plan=80.5, gain=5.688, cbt=8.406, price=8.406, paid=8.406,
        retailer_utility_jit=100.0, retailer_utility_plan=91.594,
        supplier_utility_jit=100.0, supplier_utility_plan=114.094,
    )  # fmt: skip
    text = " ".join(one(tmp_path, row))
    for part in (
        "the retailer USD 50.39 and the vendor USD 94.59, USD 144.98 together",
        "USD 58.80 (8.41 more) and the vendor USD 80.50 (14.09 less), USD 139.30 together: USD 5.68 less",
        "the vendor is USD 14.09 better off with the plan than just in time",
        "it pays USD 8.41 and keeps USD 5.68",
        "and ends as well off as before",
        "and no fee",
    ):
        assert part in text


def test_units_sold_more_are_told_apart_from_costs_saved(tmp_path):
    text = one(tmp_path, contract("a:x", "accepted", gain=150.0, retailer_utility_plan=1780.0))
    assert (
        "USD 710.00 together. Counting the margin on units sold, the two gain USD 150.00, 18.07% of"
        in text[2]
    )


def test_the_parts_of_a_price_add_up_to_the_cent(tmp_path):
    """A third of a cent on each side: what is said of the fee is what is left of the price."""
    row = contract("a:x", "accepted", cbt=1069.127, fee=213.8254, price=1282.9524, paid=1282.9524)
    assert (
        "The vendor pays USD 1,282.95: USD 1,069.13 for what the change of plan costs the retailer, and "
        "USD 213.82 as the fee."
    ) in one(tmp_path, row)


def test_a_fee_that_leaves_nothing_worth_changing(tmp_path):
    row = contract("a:x", "declined", gain=0.0, cbt=0.0, fee=0.0, price=0.0, retailer_cost_plan=220.0,
                   supplier_cost_plan=610.0, retailer_utility_plan=1780.0, supplier_utility_plan=1390.0,
                   efficiency_lost=0.07, lost_error=0.0001)  # fmt: skip
    text = one(tmp_path, row, settings=Settings(fees=(FeeRule(multiplicative=0.2),)))
    assert text[-1].endswith("What the two could have gained together is at most USD 0.08.")


def test_bounds_of_a_cent_and_more_are_rounded_up(tmp_path):
    text = one(tmp_path, contract("a:x", "accepted", efficiency_gap=0.2101, price_error=0.0301))
    assert "worth at most USD 0.22 more to the two together" in text[-1]
    assert "would differ by at most USD 0.04." in text[-1]


def test_names(tmp_path, run):
    names = tmp_path / "names.csv"
    names.write_text("vendor_id,vendor_name,product_id,description\nacme,Acme Inc,bolt,Bolt M8\n")
    assert explain(run, "acme:bolt", read_names(names))[0] == (
        "Contract acme:bolt: vendor Acme Inc, product Bolt M8."
    )


def test_found_by_vendor_and_product_or_not_at_all(run):
    assert contract_of(run, "acme", "nut") == "acme:nut"
    with pytest.raises(ContractError, match="no contract of vendor 'acme' for product 'cog'"):
        contract_of(run, "acme", "cog")
    with pytest.raises(ContractError, match=r"no contract 'acme:blot' in this run; did you mean acme:bolt"):
        explain(run, "acme:blot")


def test_a_rolled_fleet_is_told_week_by_week(run):
    (run / "roll.json").write_text("{}")
    with pytest.raises(ReportError, match="is a rolled fleet"):
        explain(run, "acme:bolt")


def test_an_ending_of_another_kind_is_told_by_its_name(tmp_path):
    row = contract("a:x", "agent_failed", reason="no answer from the vendor within 30 s")
    assert one(tmp_path, row)[1:] == [
        "It ended as agent failed: no answer from the vendor within 30 s. No plan is carried out."
    ]
