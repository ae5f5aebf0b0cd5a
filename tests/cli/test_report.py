"""`jaxcpp report` and `jaxcpp explain` from the command line, on runs that the solver made."""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict

import pyarrow.parquet as pq
import pytest

from jaxcpp.cli.status import Status
from jaxcpp.tables import write_fleet
from tests.cli.conftest import ROOT
from tests.coupled import Kind, random_coupled, tables_of
from tests.fleets import from_problems
from tests.horizon.rolls import hand_problem

WITHOUT_JAX = """
import sys
from jaxcpp.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code
assert "jax" not in sys.modules
"""

TOY = """Contract maker:widget: vendor maker, product widget.

Just in time, 100 units arrive: 40 at dock-1 and 60 at dock-2. That costs the retailer USD
220.00 and the vendor USD 610.00, USD 830.00 together.

Under the plan it is 10 at dock-1 (30 fewer) and 90 at dock-2 (30 more). It costs the
retailer USD 250.00 (30.00 more) and the vendor USD 460.00 (150.00 less), USD 710.00
together: USD 120.00 less, 14.46% of what they spent just in time.

The vendor pays USD 80.00: USD 30.00 for what the change of plan costs the retailer, and
USD 50.00 as the fee.

Before paying, the vendor is USD 150.00 better off with the plan than just in time; it
pays USD 80.00 and keeps USD 70.00. The retailer is USD 30.00 worse off with it, receives
USD 80.00 and ends USD 50.00 better off.

What is certain: any other plan there is would be worth less than a cent more to the two
together, and with both sides' exact costs the price of this plan would differ by less
than a cent.
"""


@pytest.fixture
def planned(run, toy, tmp_path):
    folder = tmp_path / "run"
    assert run("plan", toy, folder, "--fee", "additive=50").exit_code == 0
    return folder


def test_the_papers_example(run, toy, planned, tmp_path):
    result = run("report", planned)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"written to {planned / 'report.html'}\n"
    page = (planned / "report.html").read_text()
    assert "It saves USD 120.00 (14.46% of a chain cost of USD 830.00)." in page
    assert run("explain", planned, "maker:widget").stdout == TOY
    assert textwrap.indent(TOY.partition("\n\n")[2], "    ") in (ROOT / "docs" / "report.md").read_text()
    assert run("explain", planned, "--vendor", "maker", "--product", "widget").stdout == TOY
    assert run("report", planned, "--against", planned, "--out", tmp_path / "page").exit_code == 0
    found = json.loads((tmp_path / "page" / "report.json").read_text())
    assert found["against"]["same_fleet"]
    assert found["movement"]["moved"] == pytest.approx(30.0)
    # A report goes with its run: the next one takes it away.
    assert run("plan", toy, planned).exit_code == 0
    assert not (planned / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "{none}"), "is no folder"),
        (("report", "{toy}"), "holds no whole run"),
        (("report", "{run}", "--against", "{toy}"), "holds no whole run"),
        (("report", "{run}", "--names", "{toy}/products.csv"), "names neither"),
        (("report", "{run}", "--out", "{run}/run.json"), "is a file; name a folder for the report"),
        (("explain", "{run}"), "name a contract by its id, or by --vendor and --product"),
        (("explain", "{run}", "a", "--vendor", "maker"), "name a contract by its id"),
        (("explain", "{run}", "maker:wodget"), "did you mean maker:widget?"),
        (("explain", "{run}", "--vendor", "maker", "--product", "x"), "no contract of vendor 'maker'"),
    ],
)
def test_refused_in_words(run, toy, planned, tmp_path, words, said):
    places = {"none": tmp_path / "none", "toy": toy, "run": planned}
    result = run(*(word.format(**places) for word in words))
    assert result.exit_code == Status.BAD_INPUT
    assert said in result.stderr


def test_the_same_bytes_in_a_process_without_jax(spawn, run, planned, tmp_path):
    run("report", planned)
    done = spawn(
        "report", planned, "--out", tmp_path / "other", program=WITHOUT_JAX, env={"PYTHONHASHSEED": "7"}
    )
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "report.json"):
        assert (tmp_path / "other" / name).read_bytes() == (planned / name).read_bytes()


@pytest.mark.slow
def test_several_vendors_and_shared_capacity(run, tmp_path):
    kind = Kind(vendors=2, every=True)
    write_fleet(tmp_path / "fleet", tables_of({"": random_coupled(3, kind)}).tables(), {"currency": "EUR"})
    # The second vendor's fee is prohibitive: the first's contract stands all the same.
    fees = tmp_path / "fees.toml"
    fees.write_text("[vendor.vendor-1]\nadditive = 1e6\n")
    settings = ("--tolerance", "1e-4", "--fee", fees, "--flows")
    planned = run("plan", tmp_path / "fleet", tmp_path / "run", *settings)
    assert planned.exit_code == 0, planned.stderr
    one_of_two_takes_part(tmp_path / "run")
    assert run("report", tmp_path / "run").exit_code == 0
    found = json.loads((tmp_path / "run" / "report.json").read_text())
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert found["certificates"]["relative"]["worst"] == pytest.approx(
        facts["worst_efficiency_gap"], rel=1e-6
    )
    assert found["contracts"] > found["certificates"]["count"]
    name = found["certificates"]["worst"][0]["contract_id"]
    said = run("explain", tmp_path / "run", name).stdout
    assert "It is planned together with" in " ".join(said.split())
    out = next(row for row in found["attention"]["declined"] if row["contract_id"].startswith("vendor-1"))
    said = " ".join(run("explain", tmp_path / "run", out["contract_id"]).stdout.split())
    assert "It takes no part: the plan is carried out without this vendor" in said


def one_of_two_takes_part(folder):
    """Rows, plans and shipments of a run that the second vendor's fee keeps it out of."""
    rows, plans, flows = (
        pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("contracts", "plans", "flows")
    )
    first, second = sorted(rows, key=lambda row: row["vendor_id"])
    assert (first["status"], second["status"]) == ("accepted", "declined")
    assert first["paid"] == first["price"]
    assert second["paid"] == second["price"] == 0.0
    assert first["supplier_surplus"] > 0.0
    for party in ("retailer", "supplier"):
        assert second[f"{party}_utility_plan"] == pytest.approx(second[f"{party}_utility_jit"], rel=1e-9)
    assert sum(row["gain"] for row in rows) > 0.0
    arrives: defaultdict[tuple[str, ...], float] = defaultdict(float)
    shipped: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for row in plans:
        if row["vendor_id"] == "vendor-1":
            assert row["plan_units"] == pytest.approx(row["jit_units"], abs=1e-6)
        arrives[row["vendor_id"], row["product_id"], row["inbound_id"], row["week"]] += row["plan_units"]
    for row in flows:
        if row["party"] == "supplier":
            shipped[row["vendor_id"], row["product_id"], row["to_id"], row["week_to"]] += row["units"]
    assert set(shipped) <= set(arrives)
    for key, units in arrives.items():
        assert shipped[key] == pytest.approx(units, abs=1e-5), key


@pytest.mark.slow
def test_a_rolled_fleet(run, tmp_path):
    fleet = tmp_path / "fleet"
    write_fleet(fleet, from_problems({"rum": hand_problem()}).tables(), {"name": "hand", "currency": "USD"})
    rolled = run("roll", fleet, tmp_path / "run", "--weeks", "2", "--window", "2", "--tolerance", "1e-7")
    assert rolled.exit_code == 0, rolled.stderr
    result = run("report", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    assert (
        "Over 2 weeks, 2 of 2 weekly offers were accepted. Against the same weeks just in time, 1 "
        "contract gained USD 130.00 together: vendors USD 130.00 better off, the retailer as well off"
        " as before. The vendors paid USD 90.00, of which USD 0.00 in fees."
    ) in page
    refused = run("report", tmp_path / "run", "--against", tmp_path / "run")
    assert refused.exit_code == Status.BAD_INPUT
    assert "is a rolled fleet" in refused.stderr
    assert "is a rolled fleet" in run("explain", tmp_path / "run", "rum").stderr
