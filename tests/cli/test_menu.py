"""`jaxcpp menu` and `jaxcpp audit` on the paper's example: section 7.7, and answers to bad questions."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from jaxcpp.cli.status import Status

CENT = 0.005


@pytest.fixture
def ask(run, toy, tmp_path):
    def call(*words):
        return run(
            "menu", toy, "--vendor", "maker", "--product", "widget", "--out", tmp_path / "menu", *words
        )

    return call


@pytest.mark.slow
def test_section_7_7(ask, tmp_path):
    result = ask("--hint", "dock-2", "--fee", "additive=50")
    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "menu" / "menu.parquet").to_pylist()
    assert [row["price"] for row in rows] == pytest.approx([0, 60, 70, 80, 90], abs=CENT)
    assert [row["supplier_cost"] for row in rows] == pytest.approx([610, 560, 510, 460, 470], abs=CENT)
    assert [row["supplier_net"] for row in rows] == pytest.approx([1390, 1380, 1420, 1460, 1440], abs=CENT)
    assert [row["choice"] for row in rows] == [False, False, False, True, False]
    picked = next(line for line in result.stdout.splitlines() if "picked" in line)
    assert picked.split()[:4] == ["dock-2", "3/4", "10", "90"]
    # What was written can be asked for again: opting out is then a plan like any other, at no price.
    again = ask("--plans", tmp_path / "menu" / "plans.parquet", "--fee", "additive=50")
    assert again.exit_code == 0, again.stderr
    rows = pq.read_table(tmp_path / "menu" / "menu.parquet").to_pylist()
    assert [row["price"] for row in rows] == pytest.approx([0, 0, 60, 70, 80, 90], abs=CENT)


@pytest.mark.slow
def test_plans_of_a_csv_file_and_those_nobody_can_carry_out(ask, tmp_path):
    file = tmp_path / "wishes.csv"
    file.write_text("plan_id,inbound_id,units\nall,dock-2,100\nmuch,dock-1,500\n")
    result = ask("--plans", file)
    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(tmp_path / "menu" / "menu.parquet").to_pylist()
    assert [row["plan_id"] for row in rows] == ["jit", "all", "much"]
    assert rows[1]["price"] == pytest.approx(40.0, abs=CENT)
    assert rows[2]["price"] == float("inf")
    assert "the retailer cannot use it" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hint", "dock-9"], "no node 'dock-9'; known: dock-1, dock-2"),
        (["--vendor", "nobody"], "the fleet has no vendor 'nobody'"),
        (["--product", "nothing"], "the fleet has no product 'nothing'"),
        (["--hint", "dock-2", "--plans", "x.csv"], "give one"),
        (["--plans", "x.csv"], "x.csv"),
        (["--fee", "flat=1"], "unknown fee 'flat=1'"),
    ],
)
def test_questions_without_an_answer(ask, tmp_path, words, message):
    result = ask(*words)
    assert result.exit_code == Status.BAD_INPUT
    assert message in result.stderr
    assert not (tmp_path / "menu").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,dock-7,0,1", "'dock-7' is no inbound node"),
        ("a,dock-1,3,1", "'3' is no week from 0 to 0"),
        ("a,dock-1,0,-1", "'-1' is not a finite number of at least 0"),
        ("a,dock-1,0,many", "'many' is not a finite number"),
        (",dock-1,0,1", "is empty"),
        ("a,dock-2,0,1\na,dock-2,0,2", "names this node and week before"),
    ],
)
def test_a_bad_file_of_plans(ask, tmp_path, row, message):
    file = tmp_path / "wishes.csv"
    file.write_text(f"plan_id,inbound_id,week,units\n{row}\n")
    result = ask("--plans", file)
    assert result.exit_code == Status.BAD_INPUT
    assert message in result.stderr
    assert "wishes.csv" in result.stderr


@pytest.mark.slow
def test_an_audit_of_the_toy(run, toy):
    result = run("audit", toy, "--lies", "3", "--fee", "multiplicative=0.1")
    assert result.exit_code == 0, result.stderr
    assert "0 contracts where some lie pays beyond the certified slack" in result.stdout
