"""The figures of a report, against sums done by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxcpp.fleet.results import Rejected
from jaxcpp.report import MissingLibraryError, ReportError, read_names, write_report
from jaxcpp.report.document import document
from jaxcpp.report.load import bundle_of, load
from jaxcpp.report.movement import heat
from tests.report import runs
from tests.report.runs import NAN, arrivals, contract, every, write


def figures(folder, *, before=None, names=None):
    return document(load(folder), None if before is None else load(before), read_names(names))


def test_gains_are_of_what_is_carried_out(tmp_path):
    found = figures(every(tmp_path / "run"))
    assert found["status_counts"] == {
        "accepted": 1, "no_gain": 1, "declined": 1, "not_converged": 1, "infeasible": 1,
    }  # fmt: skip
    # Four contracts have a just-in-time plan of 830; one changes, and saves 120.
    assert found["chain_cost_jit"] == pytest.approx(4 * 830.0)
    assert found["chain_cost_carried_out"] == pytest.approx(4 * 830.0 - 120.0)
    assert found["gain"] == pytest.approx(120.0)
    assert found["gain_share"] == pytest.approx(120.0 / 3320.0)
    assert found["parties"]["supplier"] == {"before_payments": 150.0, "payments": -80.0, "keeps": 70.0}
    assert found["parties"]["retailer"] == {"before_payments": -30.0, "payments": 80.0, "keeps": 50.0}
    assert (found["cbt"], found["fee"], found["paid"]) == (30.0, 50.0, 80.0)
    assert found["gain_declined"] == 120.0
    acme, *others = found["vendors"]
    assert (acme["vendor_id"], acme["contracts"], acme["accepted"], acme["keeps"]) == ("acme", 2, 1, 70.0)
    assert all(row["keeps"] == 0.0 for row in others)


def test_a_contract_without_a_plan_to_compare_with_is_counted_apart(tmp_path):
    lost = contract("a:x", "accepted", retailer_cost_jit=NAN, retailer_utility_jit=NAN, gain=NAN)
    found = figures(write(tmp_path / "run", [lost, contract("b:y", "accepted")], []))
    assert (found["compared"], found["not_compared"]) == (1, 1)
    assert found["gain"] == pytest.approx(120.0)
    assert found["paid"] == pytest.approx(160.0)
    write_report(tmp_path / "run", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1 contract has no just-in-time plan" in page


def test_units_that_move_to_another_node_or_only_to_another_week(tmp_path):
    plans = [
        # 3 to another node; of what stays at "a", 2 to another week.
        *arrivals("v:p", "p", ("a", 0, 10.0, 5.0), ("a", 1, 0.0, 2.0), ("b", 0, 0.0, 3.0)),
        # Another product moves the other way: it makes up for nothing.
        *arrivals("v:q", "q", ("a", 0, 0.0, 4.0), ("b", 0, 4.0, 0.0)),
        # More units in all are not moved ones.
        *arrivals("v:r", "r", ("a", 0, 1.0, 2.5)),
    ]
    rows = [contract(f"v:{name}", "accepted") for name in "pqr"]
    moved = figures(write(tmp_path / "run", rows, plans))["movement"]
    assert moved["moved"] == pytest.approx(9.0)
    assert moved["to_another_node"] == pytest.approx(7.0)
    assert moved["to_another_week"] == pytest.approx(2.0)
    assert moved["net"] == pytest.approx(1.5)
    assert [(row["inbound_id"], row["change_by_week"]) for row in moved["nodes"]] == [
        ("a", [0.5, 2.0]),
        ("b", [-1.0, 0.0]),
    ]
    assert [row["label"] for row in moved["weeks"]] == ["26 Feb", "4 Mar"]


def test_contracts_planned_together_have_one_certificate(tmp_path):
    tied = [
        contract("a:x", "accepted", product_ids=["x", "y"], efficiency_gap=0.0083),
        contract("b:y", "accepted", product_ids=["y"], efficiency_gap=0.0083),
        contract("c:z", "accepted", efficiency_gap=0.00071),
    ]
    found = figures(write(tmp_path / "run", tied, []))["certificates"]
    assert found["count"] == 2
    assert [(row["contract_id"], row["planned_together"]) for row in found["worst"]] == [
        ("a:x", 2),
        ("c:z", 1),
    ]
    # Each costs 710; the two that are tied have one gap over both.
    assert found["worst"][0]["relative"] == pytest.approx(0.0083 / 1420.0)
    assert found["worst"][1]["relative"] == pytest.approx(0.00071 / 710.0)
    assert sum(row["count"] for row in found["classes"]) == 2
    assert found["classes"][0]["count"] == 1  # 0.1 of the tolerance
    assert found["classes"][5]["count"] == 1  # 0.58 of it
    assert found["total_gap"] == pytest.approx(0.0083 + 0.00071)


def test_bundles_are_the_contracts_tied_by_products():
    assert bundle_of([["a"], ["b", "c"], ["d"], ["c", "a"], []]).tolist() == [0, 0, 1, 0, 2]
    assert bundle_of([]).tolist() == []


def test_a_gap_beyond_the_tolerance_is_shown_beyond_it(tmp_path):
    found = figures(every(tmp_path / "run"))["certificates"]
    assert found["classes"][-1] == {"up_to": None, "count": 1}
    assert found["worst"][0]["status"] == "not_converged"
    assert found["worst"][0]["relative"] == pytest.approx(2.5 / 710.0)


def test_what_needs_a_person_comes_with_the_fix(tmp_path):
    found = figures(every(tmp_path / "run"))["attention"]
    assert [row["reason"] for row in found["infeasible"]] == [runs.SHORT]
    assert [row["reason"] for row in found["not_converged"]] == [runs.UNSURE]
    assert found["rejected"] == [
        {"product_id": "axle", "product": "axle", "reason": "margin is missing; add it"}
    ]
    declined = found["declined"][0]
    assert (declined["vendor_saves"], declined["price"]) == (150.0, 530.0)


def test_against_an_earlier_run(tmp_path):
    then = [
        contract("acme:bolt", "no_gain", gain=0.0),
        contract("acme:nut", "no_gain", gain=0.0),
        contract("gone:cam", "accepted"),
        contract("best:cog", "accepted", product_ids=["cog", "cam"]),  # of other products now
    ]
    plans = [
        # The earlier run started a week before: its week 1 is this run's week 0.
        *arrivals(
            "acme:bolt", "bolt", ("east", 0, 1.0, 1.0), ("east", 1, 40.0, 40.0), ("west", 1, 60.0, 60.0)
        ),
        *arrivals("gone:cam", "cam", ("east", 1, 9.0, 9.0)),
    ]
    before = write(tmp_path / "before", then, plans, first_week="2024-02-19")
    found = figures(every(tmp_path / "run"), before=before)["against"]
    assert (found["in_both"], found["only_now"], found["only_then"]) == (2, 3, 2)
    assert found["statuses"] == [{"then": "no_gain", "now": "accepted", "count": 1}]
    assert [row["contract_id"] for row in found["changed_most"]] == ["acme:bolt"]
    assert (found["changed_most"][0]["gain_then"], found["changed_most"][0]["gain_now"]) == (0.0, 120.0)
    moved = found["plans"]
    # Of both runs' weeks only one is common: bolts move by 30 + 30, nuts of that week are new.
    assert (moved["weeks_later"], moved["units_then"], moved["units_now"]) == (1.0, 100.0, 105.0)
    assert moved["units_changed"] == pytest.approx(65.0)
    assert not found["same_fleet"] or found["same_settings"]


def test_money_of_two_currencies_is_not_compared(tmp_path):
    before = every(tmp_path / "before", currency="EUR")
    with pytest.raises(ReportError, match="USD and EUR"):
        figures(every(tmp_path / "run"), before=before)


@pytest.mark.parametrize(
    ("contracts", "plans"), [([], []), ([contract("a:x", "infeasible")], [])], ids=["none", "infeasible"]
)
def test_a_run_without_a_single_plan(tmp_path, contracts, plans):
    found = figures(write(tmp_path / "run", contracts, plans, (Rejected("1", "why"),)))
    assert found["gain"] == 0.0
    assert found["certificates"]["count"] == 0
    write_report(tmp_path / "run", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No contract has a plan to certify." in page
    assert "No units are ordered." in page


def test_the_figures_are_json_without_a_value_that_json_lacks(tmp_path):
    write_report(every(tmp_path / "run"), tmp_path / "out")
    text = (tmp_path / "out" / "report.json").read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["attention"]["infeasible"][0]["gain"] is None
    assert found["kind"] == "plan"


def test_names_of_vendors_and_products(tmp_path):
    names = tmp_path / "names.csv"
    names.write_text(
        'product_id,description,vendor_id,vendor_name\nbolt,"A  BOLT",acme,Acme Inc\nnut,,acme,Acme Inc\n'
    )
    found = figures(every(tmp_path / "run"), names=names)
    assert found["vendors"][0]["vendor"] == "Acme Inc"
    worst = {row["contract_id"]: row for row in found["certificates"]["worst"]}
    assert worst["acme:bolt"]["product"] == "A BOLT"
    assert worst["acme:nut"]["product"] == "nut"


@pytest.mark.parametrize(
    ("text", "said"), [("a,b\n1,2\n", "names neither"), (b"\xff\xfe\x00", "cannot be read as CSV")]
)
def test_a_file_that_names_nothing_is_refused(tmp_path, text, said):
    names = tmp_path / "names.csv"
    names.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ReportError, match=said):
        figures(every(tmp_path / "run"), names=names)


def test_what_is_no_run_is_refused_in_words(tmp_path):
    for folder, said in ((tmp_path, "holds no whole run"), (tmp_path / "none", "is no folder")):
        with pytest.raises(ReportError, match=said):
            figures(folder)
    run = every(tmp_path / "run")
    (run / "contracts.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReportError, match="cannot be read"):
        figures(run)
    (run / "contracts.parquet").unlink()
    with pytest.raises(ReportError, match="has no table 'contracts'"):
        figures(run)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingLibraryError, match=r"jinja2 and matplotlib: pip install 'jaxcpp\[report\]'"):
        write_report(every(tmp_path / "run"), tmp_path / "out")


def test_many_nodes_and_weeks_are_added_up_and_none_is_lost(tmp_path):
    rng = np.random.default_rng(5)
    cells = [(f"n{node:02d}", week, *rng.uniform(0, 9, 2)) for node in range(30) for week in range(20)]
    found = figures(write(tmp_path / "run", [contract("v:p", "accepted")], arrivals("v:p", "p", *cells)))
    table = heat(found["movement"])
    assert len(table["rows"]) == 12
    assert table["rows"][-1]["name"] == "19 others"
    assert len(table["head"]) == 14
    assert table["head"][-1] == "later"
    shown = sum(cell["units"] for row in table["rows"] for cell in row["cells"])
    assert shown == pytest.approx(found["movement"]["units_plan"] - found["movement"]["units_jit"])


def test_an_ending_of_another_kind_is_shown_by_its_name(tmp_path):
    rows = [
        contract("a:x", "agent_failed", reason="no answer", retailer_cost_jit=NAN),
        contract("b:y", "accepted"),
    ]
    found = write_report(write(tmp_path / "run", rows, []), tmp_path / "out")
    assert found["status_counts"]["agent_failed"] == 1
    assert (found["compared"], found["not_compared"]) == (1, 0)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Of 2 contracts, 1 takes a new plan and 1 agent failed." in page
    assert "agent failed: no answer" in page
