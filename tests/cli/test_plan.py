"""The main job from the command line, solver and all, on the paper's example."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from jaxcpp.cli.status import Status
from jaxcpp.tables import read_run

CENT = 0.005


def contract(folder):
    rows = pq.read_table(folder / "contracts.parquet").to_pylist()
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize("method", ["newton", "admm"])
def test_the_papers_example_to_the_cent(run, toy, tmp_path, method):
    result = run(
        "plan", toy, tmp_path / "run", "--fee", "additive=50", "--method", method, "--tolerance", "1e-7"
    )
    assert result.exit_code == 0, result.stderr
    row = contract(tmp_path / "run")
    assert row["status"] == "accepted"
    expected = {
        "retailer_cost_jit": 220.0,
        "supplier_cost_jit": 610.0,
        "retailer_cost_plan": 250.0,
        "supplier_cost_plan": 460.0,
        "retailer_utility_jit": 1780.0,
        "supplier_utility_jit": 1390.0,
        "retailer_utility_plan": 1750.0,
        "supplier_utility_plan": 1540.0,
        "gain": 120.0,
        "cbt": 30.0,
        "fee": 50.0,
        "price": 80.0,
        "paid": 80.0,
        "supplier_surplus": 70.0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=CENT)
    plans = pq.read_table(tmp_path / "run" / "plans.parquet").to_pylist()
    units = {plan["inbound_id"]: plan["plan_units"] for plan in plans}
    just_in_time = {plan["inbound_id"]: plan["jit_units"] for plan in plans}
    assert just_in_time == pytest.approx({"dock-1": 40.0, "dock-2": 60.0}, abs=CENT)
    assert units == pytest.approx({"dock-1": 10.0, "dock-2": 90.0}, abs=CENT)


@pytest.mark.parametrize(("fee", "status"), [(119.99, "accepted"), (120.01, "declined")])
def test_accepted_exactly_below_the_gain(run, toy, tmp_path, fee, status):
    assert (
        run("plan", toy, tmp_path / "run", "--fee", f"additive={fee}", "--tolerance", "1e-7").exit_code == 0
    )
    row = contract(tmp_path / "run")
    assert row["status"] == status
    assert row["paid"] == pytest.approx(30 + fee if status == "accepted" else 0.0, abs=CENT)


def test_the_table_and_where_it_is_written(run, toy, tmp_path):
    result = run("plan", toy, tmp_path / "run", "--fee", "additive=50")
    text = " ".join(result.stdout.split())
    for part in ("contracts 1 accepted 1", "chain cost, just-in-time 830.00", "gain 120.00", "paid 80.00"):
        assert part in text
    assert result.stdout.rstrip().endswith(f"written to {tmp_path / 'run'}")
    assert result.stderr == ""


def test_json_is_what_the_run_holds(run, toy, tmp_path):
    result = run("plan", toy, tmp_path / "run", "--json", "--fee", "additive=50")
    document = json.loads(result.stdout)
    assert document == json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["status_counts"] == {"accepted": 1}
    assert document["settings"]["fees"][0]["additive"] == 50.0
    assert document["worst_efficiency_gap"] <= document["settings"]["tolerance"]
    seconds = document["seconds"]
    assert set(seconds) == {"read", "compile", "solve", "write", "total"}
    assert seconds["total"] >= max(seconds.values())


def test_flows_on_request(run, toy, tmp_path):
    assert run("plan", toy, tmp_path / "run").exit_code == 0
    assert not (tmp_path / "run" / "flows.parquet").exists()
    assert run("plan", toy, tmp_path / "flows", "--flows").exit_code == 0
    flows = pq.read_table(tmp_path / "flows" / "flows.parquet").to_pylist()
    for party in ("retailer", "supplier"):
        assert sum(flow["units"] for flow in flows if flow["party"] == party) == pytest.approx(
            100.0, abs=CENT
        )


def test_a_contract_that_is_not_certified_is_listed(run, toy, tmp_path):
    result = run("plan", toy, tmp_path / "run", "--max-rounds", "1", "--method", "admm")
    assert result.exit_code == Status.NOT_CERTIFIED
    row = contract(tmp_path / "run")
    assert row["status"] == "not_converged"
    assert result.stderr.startswith("1 contracts are not certified:")
    assert row["contract_id"] in result.stderr
    assert "written to" in result.stdout


def test_an_infeasible_contract_is_named_and_is_no_failure(run, toy, tmp_path):
    sources = toy / "sources.csv"
    lines = sources.read_text().splitlines()
    column = lines[0].split(",").index("capacity")
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[column] = "10"
    sources.write_text("\n".join([lines[0], *(",".join(row) for row in rows)]) + "\n")
    result = run("plan", toy, tmp_path / "run")
    assert result.exit_code == Status.DONE
    row = contract(tmp_path / "run")
    assert row["status"] == "infeasible"
    assert "capacity" in row["reason"]
    assert f"{row['contract_id']}: {row['reason']}" in result.stderr


def test_bad_input_is_told_in_full_and_nothing_is_solved(run, toy, tmp_path):
    (toy / "offers.csv").unlink()
    demand = toy / "demand.csv"
    demand.write_text(demand.read_text().replace("40", "-40"))
    for words in (("plan", toy, tmp_path / "run"), ("check", toy)):
        result = run(*words)
        assert result.exit_code == Status.BAD_INPUT
        assert "offers" in result.stderr
        assert "demand.csv" in result.stderr
        assert result.stdout == ""
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run_is_left_alone(run, toy, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("...")
    result = run("plan", toy, precious)
    assert result.exit_code == Status.BAD_INPUT
    assert str(precious) in result.stderr
    assert [path.name for path in precious.iterdir()] == ["thesis.tex"]


def test_a_fleet_that_is_not_there(run, tmp_path):
    for words in (("plan", tmp_path / "nowhere", tmp_path / "run"), ("check", tmp_path / "nowhere")):
        result = run(*words)
        assert result.exit_code == Status.BAD_INPUT
        assert "nowhere" in result.stderr


def test_check_says_what_a_fleet_holds(run, toy):
    facts = json.loads(run("check", toy, "--json").stdout)
    assert facts["problems"] == []
    assert (facts["products"], facts["regions"], facts["demand_units"]) == (1, 2, 100.0)
    assert "demand units" in run("check", toy).stdout


def test_check_lists_problems_as_json(run, toy):
    demand = toy / "demand.csv"
    demand.write_text(demand.read_text().replace("40", "-40"))
    result = run("check", toy, "--json")
    assert result.exit_code == Status.BAD_INPUT
    (problem,) = json.loads(result.stdout)["problems"]
    assert (problem["file"], problem["column"]) == ("demand.csv", "units")


def test_an_example_does_not_overwrite(run, toy):
    result = run("example", "toy", toy)
    assert result.exit_code == Status.BAD_INPUT
    assert str(toy) in result.stderr
    assert run("example", "toys", toy).exit_code == Status.BAD_INPUT


def test_a_device_that_is_not_there(spawn, toy, tmp_path):
    done = spawn("plan", toy, tmp_path / "run", "--device", "gpu", env={"JAX_PLATFORMS": "cpu"})
    assert done.returncode == Status.NO_DEVICE
    assert "gpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_in_a_process_of_its_own_the_second_run_is_the_first(spawn, toy, tmp_path):
    for name in ("first", "second"):
        done = spawn("plan", toy, tmp_path / name, "--fee", "additive=50")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    for table in ("contracts", "plans"):
        first, second = ((tmp_path / name / f"{table}.parquet").read_bytes() for name in ("first", "second"))
        assert first == second


def test_whole_units_need_whole_demand(run, toy, tmp_path):
    demand = toy / "demand.csv"
    assert run("plan", toy, tmp_path / "whole", "--units", "integer", "--fee", "additive=50").exit_code == 0
    assert contract(tmp_path / "whole")["price"] == pytest.approx(80.0, abs=CENT)
    demand.write_text(demand.read_text().replace("40", "40.5"))
    result = run("plan", toy, tmp_path / "run", "--units", "integer")
    assert result.exit_code == Status.BAD_INPUT
    assert result.stderr.startswith("Error: ")
    assert "widget" in result.stderr
    assert not (tmp_path / "run").exists()


def share(toy):
    """The toy fleet with a second product that draws on the same sources."""
    for table, row in {
        "products": "gadget,20",
        "demand": "gadget,east,0,5",
        "offers": "maker,gadget,20",
    }.items():
        path = toy / f"{table}.csv"
        path.write_text(path.read_text().rstrip("\n") + f"\n{row}\n")
    (toy / "sources.csv").write_text("vendor_id,source_id,capacity\nmaker,plant-1,105\nmaker,plant-2,10\n")


@pytest.mark.slow
def test_products_that_share_capacity_are_one_contract(run, toy, tmp_path):
    share(toy)
    assert run("check", toy).exit_code == 0
    result = run("plan", toy, tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    tables, facts = read_run(tmp_path / "run")
    (row,) = tables["contracts"].to_pylist()
    assert row["contract_id"] == "maker:gadget"
    assert row["product_ids"] == ["gadget", "widget"]
    assert set(tables["plans"]["product_id"].to_pylist()) == {"gadget", "widget"}
    assert facts["budget_in_words"].startswith("a deficit of ")


@pytest.mark.slow
def test_shared_capacity_with_fees_in_whole_units_and_with_flows(run, toy, tmp_path):
    share(toy)
    fees = tmp_path / "fees.toml"
    fees.write_text("multiplicative = 0.1\n[product.gadget]\ndeviation = { over = 100, under = 100 }\n")
    result = run("plan", toy, tmp_path / "run", "--fee", fees, "--units", "integer", "--flows")
    assert result.exit_code == 0, result.stderr
    tables, _ = read_run(tmp_path / "run")
    (row,) = tables["contracts"].to_pylist()
    assert row["status"] == "accepted"
    assert row["fee"] == pytest.approx(0.1 * row["cbt"], abs=1e-6)
    assert row["cbt"] > 1.0
    plans = tables["plans"].to_pylist()
    for line in plans:
        assert line["plan_units"] == round(line["plan_units"])
        assert line["product_id"] == "widget" or line["plan_units"] == line["jit_units"]
    for party, vendor in (("supplier", "maker"), ("retailer", None)):
        shipped = [flow for flow in tables["flows"].to_pylist() if flow["party"] == party]
        assert {flow["vendor_id"] for flow in shipped} == {vendor}
        assert sum(flow["units"] for flow in shipped) == sum(line["plan_units"] for line in plans)


def test_a_share_by_product_is_refused_where_the_transfer_is_for_several(run, toy, tmp_path):
    share(toy)
    fees = tmp_path / "fees.toml"
    fees.write_text("[product.gadget]\nmultiplicative = 0.1\n")
    result = run("plan", toy, tmp_path / "run", "--fee", fees)
    assert result.exit_code == Status.BAD_INPUT
    assert "multiplicative for product 'gadget': vendor 'maker' makes one transfer" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_each_vendor_of_a_product_has_its_own_row(run, toy, tmp_path):
    offers = toy / "offers.csv"
    header, row = offers.read_text().splitlines()
    vendor = header.split(",").index("vendor_id")
    cells = row.split(",")
    for name in ("sources", "inbound_lanes"):
        table = toy / f"{name}.csv"
        first, *rows = table.read_text().splitlines()
        column = first.split(",").index("vendor_id")
        second = [
            ",".join("another" if at == column else cell for at, cell in enumerate(line.split(",")))
            for line in rows
        ]
        table.write_text("\n".join([first, *rows, *second]) + "\n")
    again = ",".join("another" if at == vendor else cell for at, cell in enumerate(cells))
    offers.write_text(f"{header}\n{row}\n{again}\n")
    result = run("plan", toy, tmp_path / "run", "--absent", "excluded")
    assert result.exit_code == 0, result.stderr
    tables, facts = read_run(tmp_path / "run")
    rows = tables["contracts"].to_pylist()
    assert [row["contract_id"] for row in rows] == ["another:widget", "maker:widget"]
    # Either could do it all: each pays what the other would earn, and there is enough for both.
    assert facts["budget"] > 0.0
    assert facts["budget_in_words"].startswith("a surplus of ")


def test_a_run_in_parts_is_a_run(run, toy, tmp_path):
    """At an address, resumed, reported on, explained, compared, and begun at another night."""
    parts, again = tmp_path / "parts", tmp_path / "again"
    assert run("plan", toy, tmp_path / "one").exit_code == 0
    done = run("plan", f"file://{toy}", f"file://{parts}", "--part-size", "1")
    assert done.exit_code == 0, done.stderr
    assert "accepted 1" in " ".join(done.stdout.split())
    for name in ("contracts", "plans", "prices"):
        assert (parts / f"{name}.parquet").read_bytes() == (tmp_path / "one" / f"{name}.parquet").read_bytes()
    assert run("plan", toy, parts, "--resume").stdout.splitlines()[0].split() == ["contracts", "1"]
    refused = run("plan", toy, parts, "--resume", "--tolerance", "1e-3")
    assert refused.exit_code == Status.BAD_INPUT
    assert "another tolerance; name another folder" in refused.stderr
    warm = run("plan", toy, again, "--part-size", "1", "--warm-start", parts)
    assert warm.exit_code == 0, warm.stderr
    assert contract(again)["rounds"] < contract(parts)["rounds"]
    assert run("report", again, "--against", parts).exit_code == 0
    assert "maker" in run("explain", parts, "maker:widget").stdout


def test_what_does_not_go_in_parts(run, toy, tmp_path):
    agents = tmp_path / "agents.toml"
    agents.write_text("[vendor.maker]\nurl = 'grpc://127.0.0.1:1'\n")
    refused = run("plan", toy, tmp_path / "run", "--part-size", "1", "--agents", agents)
    assert refused.exit_code == Status.BAD_INPUT
    assert "leave out --cluster" in refused.stderr
    nowhere = run("plan", toy, tmp_path / "run", "--cluster", "local:none")
    assert nowhere.exit_code == Status.OUR_FAULT
    assert "no cluster at 'local:none'" in nowhere.stderr
    odd = run("plan", "gopher://fleet", tmp_path / "run")
    assert odd.exit_code == Status.BAD_INPUT
    assert "gopher" in odd.stderr
    assert not (tmp_path / "run").exists()
