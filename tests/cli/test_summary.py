"""What a person reads after a run, from runs made by hand."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from jaxcpp.cli.progress import progress_bar
from jaxcpp.cli.summary import attention, listed, summary
from jaxcpp.fleet.settings import Progress
from jaxcpp.fleet.totals import totals_of

NOTHING = np.nan

CONTRACTS: dict[str, Any] = {
    "contract_id": ["a", "b", "c"],
    "status": ["accepted", "declined", "infeasible"],
    "reason": ["", "", "capacity falls short by 3 units"],
    "retailer_cost_jit": [220.0, 1000.0, NOTHING],
    "supplier_cost_jit": [610.0, 2000.0, NOTHING],
    "retailer_cost_plan": [250.0, 1010.0, NOTHING],
    "supplier_cost_plan": [460.0, 1980.0, NOTHING],
    "gain": [120.0, 10.0, NOTHING],
    "cbt": [30.0, 10.0, NOTHING],
    "fee": [50.0, 50.0, NOTHING],
    "paid": [80.0, 0.0, NOTHING],
    "efficiency_gap": [0.001, 0.02, NOTHING],
    "supplier_utility_jit": [0.0, 0.0, NOTHING],
    "supplier_utility_plan": [150.0, 20.0, NOTHING],
    "supplier_surplus": [70.0, -40.0, NOTHING],
    "rounds": [34, 34, 47],
}
DOCUMENT: dict[str, Any] = {
    "status_counts": {"accepted": 1, "declined": 1, "infeasible": 1},
    "worst_efficiency_gap": 6.7e-6,
    "rounds": {"median": 34.0, "p99": 46.0, "max": 47.0},
    "seconds": {"read": 0.1, "compile": 2.0, "solve": 3.0, "write": 0.2, "total": 5.4},
}


def words(table) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(table)
    return " ".join(out.getvalue().split())


def test_sums_leave_out_contracts_without_a_plan():
    text = words(summary(totals_of(CONTRACTS), DOCUMENT, "USD"))
    for part in (
        "contracts 3 accepted 1 declined 1 infeasible 1",
        "chain cost, just-in-time 3,830.00 USD",
        "chain cost, planned 3,700.00 USD",
        "gain 130.00 USD 3.39% of chain cost",
        "cost-benefit transfers 40.00 USD",
        "fees 100.00 USD",
        "paid 80.00 USD",
        "worst certificate 0.02 USD or 6.7e-06 of chain cost",
        "rounds 34 median, 99 % 46, most 47",
        "seconds 5.4 read 0.1, compile 2.0, solve 3.0, write 0.2",
    ):
        assert part in text


def test_what_a_vendor_keeps_to_itself_is_said_to_be_left_out():
    kept = CONTRACTS | {name: [NOTHING] * 3 for name in ("supplier_cost_jit", "supplier_cost_plan")}
    text = words(summary(totals_of(kept), DOCUMENT, "USD"))
    left_out = "USD; 2 vendor costs not known"
    assert f"chain cost, just-in-time 1,220.00 {left_out}" in text
    assert f"chain cost, planned 1,260.00 {left_out} gain 130.00 USD cost-benefit" in text
    assert "worst certificate 0.02 USD rounds" in text


def test_a_run_without_a_single_plan():
    none = {name: column[2:] for name, column in CONTRACTS.items()}
    document = {
        "status_counts": {"infeasible": 1},
        "worst_efficiency_gap": None,
        "rounds": {"median": None, "p99": None, "max": None},
        "seconds": DOCUMENT["seconds"],
    }
    text = words(summary(totals_of(none), document, ""))
    assert "infeasible 1" in text
    assert "worst certificate" not in text
    assert "rounds" not in text


def test_contracts_that_need_attention():
    assert attention(totals_of(CONTRACTS), "infeasible", "contracts are infeasible") == [
        "1 contracts are infeasible:",
        "  c: capacity falls short by 3 units",
    ]
    assert attention(totals_of(CONTRACTS), "not_converged", "contracts are not certified") == []


@pytest.mark.parametrize(
    ("count", "last"), [(10, "  line 9"), (11, "  and 1 more"), (1234, "  and 1,224 more")]
)
def test_a_long_list_is_cut(count, last):
    lines = listed("many", (f"line {k}" for k in range(count)))
    assert lines[:2] == ["many:", "  line 0"]
    assert lines[-1] == last


def test_no_bar_without_a_terminal():
    out = io.StringIO()
    with progress_bar(Console(file=out)) as show:
        show(Progress(total=4, done=1, certified=1, worst_gap=1e-6))
    assert out.getvalue() == ""


def test_a_bar_on_a_terminal():
    out = io.StringIO()
    with progress_bar(Console(file=out, force_terminal=True, width=120)) as show:
        show(Progress(total=4, done=3, certified=2, worst_gap=1.5e-6))
    for part in ("3/4", "certified 2", "worst gap 1.5e-06"):
        assert part in out.getvalue()
