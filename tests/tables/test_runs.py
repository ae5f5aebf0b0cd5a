"""A run's folder: the contract's columns, the same bytes every time, and nothing of others touched."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxcpp.fleet.results import Rejected, Run
from jaxcpp.fleet.settings import Settings
from jaxcpp.tables import RunFolderError, check_run_folder, read_run, write_run

MONEY = [
    *("retailer_cost_jit", "retailer_cost_plan", "supplier_cost_jit", "supplier_cost_plan"),
    *("retailer_utility_jit", "retailer_utility_plan", "supplier_utility_jit", "supplier_utility_plan"),
    *("gain", "cbt", "fee", "price", "paid", "supplier_surplus", "efficiency_lost"),
    *("efficiency_gap", "price_error", "lost_error"),
]
CONTRACTS = [
    *("contract_id", "vendor_id", "product_ids", "status", "reason"),
    *MONEY,
    *("rounds", "solver"),
]
PLANS = ["contract_id", "vendor_id", "product_id", "inbound_id", "week", "jit_units", "plan_units"]
FLOWS = ["party", "vendor_id", "product_id", "from_id", "to_id", "week_from", "week_to", "units"]

INFO: dict[str, Any] = {"version": "1.2.3", "settings": Settings(), "fleet_fingerprint": "f" * 64}


def make_run(*, flows: bool = False) -> Run:
    """Two contracts, one of them infeasible."""
    contracts: dict[str, Any] = {name: np.array([1.5, math.nan]) for name in MONEY}
    contracts |= {
        "contract_id": np.array(["a:1", "b:2"]),
        "vendor_id": np.array(["a", "b"]),
        "product_ids": [["1", "3"], ["2"]],
        "status": np.array(["accepted", "infeasible"]),
        "reason": ["", "region north cannot be reached"],
        "retailer_cost_plan": np.array([250.0, math.nan]),
        "supplier_cost_plan": np.array([460.0, math.nan]),
        "efficiency_gap": np.array([0.0071, math.nan]),
        "rounds": np.array([20, 0]),
        "solver": ["newton", ""],
    }
    plans = {
        "contract_id": ["a:1", "a:1"],
        "vendor_id": ["a", "a"],
        "product_id": ["1", "3"],
        "inbound_id": ["n1", "n2"],
        "week": np.array([0, 1], dtype=np.int32),
        "jit_units": np.array([40.0, 60.0]),
        "plan_units": np.array([10.0, 90.0]),
    }
    columns = {
        "party": ["retailer"],
        "vendor_id": [None],
        "product_id": ["1"],
        "from_id": ["n1"],
        "to_id": ["north"],
        "week_from": np.array([0], dtype=np.int32),
        "week_to": np.array([1], dtype=np.int32),
        "units": np.array([10.0]),
    }
    seconds = {"read": 0.5, "compile": 2.0, "solve": 1.0}
    return Run(contracts, plans, columns if flows else None, seconds=seconds, device="cpu")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_tables_have_the_contracts_columns_types_and_units(tmp_path: Path) -> None:
    write_run(make_run(flows=True), [Rejected("9", "no margin")], tmp_path, info=INFO)
    tables, _ = read_run(tmp_path)
    assert tables["contracts"].column_names == CONTRACTS
    assert tables["plans"].column_names == PLANS
    assert tables["flows"].column_names == FLOWS
    assert tables["rejected"].to_pylist() == [{"product_id": "9", "reason": "no margin"}]
    schema = tables["contracts"].schema
    for name in MONEY:
        assert schema.field(name).type == pa.float64()
        assert schema.field(name).metadata[b"unit"] == b"currency"
    assert schema.field("product_ids").type == pa.list_(pa.string())
    assert schema.field("rounds").type == pa.int32()
    plans = tables["plans"].schema
    assert [plans.field(name).type for name in ("week", "plan_units")] == [pa.int32(), pa.float64()]
    assert plans.field("jit_units").metadata == {b"unit": b"units"}


def test_values_come_back(tmp_path: Path) -> None:
    run = make_run(flows=True)
    write_run(run, [], tmp_path, info=INFO)
    tables, _ = read_run(tmp_path)
    assert tables["contracts"]["product_ids"].to_pylist() == [["1", "3"], ["2"]]
    assert tables["contracts"]["reason"].to_pylist()[1] == "region north cannot be reached"
    assert run.flows is not None
    for table, columns in (("contracts", run.contracts), ("plans", run.plans), ("flows", run.flows)):
        for name, values in columns.items():
            if name != "product_ids":
                np.testing.assert_array_equal(tables[table][name].to_numpy(), np.asarray(values))


def test_run_json(tmp_path: Path) -> None:
    info = INFO | {"started": time.perf_counter() - 100.0}
    write_run(make_run(), [], tmp_path, info=info)
    text = (tmp_path / "run.json").read_text()
    facts = json.loads(text)
    assert list(facts) == sorted(facts)
    assert set(facts) == {
        *("version", "settings", "device", "fleet_fingerprint", "status_counts", "seconds"),
        *("worst_efficiency_gap", "rounds", "budget", "budget_in_words"),
    }
    assert facts["settings"]["tolerance"] == 1e-5
    assert facts["device"] == "cpu"
    assert facts["status_counts"] == {"accepted": 1, "infeasible": 1}
    assert facts["worst_efficiency_gap"] == pytest.approx(1e-5)
    assert facts["rounds"] == {"median": 10.0, "p99": 20.0, "max": 20.0}
    seconds = facts["seconds"]
    assert set(seconds) == {"read", "compile", "solve", "write", "total"}
    assert 0 < seconds["write"] < 10
    assert 100 < seconds["total"] < 110


def test_seconds_and_facts_that_are_given_are_kept(tmp_path: Path) -> None:
    given = {"seconds": {"read": 7.0, "write": 1.0}, "worst_efficiency_gap": math.inf, "device": "gpu"}
    write_run(make_run(), [], tmp_path, info=INFO | given)
    _, facts = read_run(tmp_path)
    assert facts["seconds"] == {"read": 7.0, "compile": 2.0, "solve": 1.0, "write": 1.0, "total": 11.0}
    assert facts["worst_efficiency_gap"] is None
    assert facts["device"] == "gpu"


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    rejected = [Rejected("8", "b"), Rejected("7", "a")]
    slow = make_run(flows=True)
    slow.seconds = {"read": 9.0}
    write_run(make_run(flows=True), rejected, one, info=INFO)
    write_run(slow, rejected[::-1], other, info=INFO | {"started": 0.0})
    assert names(one) == names(other)
    for path in one.glob("*.parquet"):
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_optional_tables_are_written_only_where_there_is_something(tmp_path: Path) -> None:
    write_run(make_run(), [], tmp_path, info=INFO)
    assert names(tmp_path) == {"contracts.parquet", "plans.parquet", "run.json"}


def test_a_run_replaces_an_earlier_one_whole(tmp_path: Path) -> None:
    write_run(make_run(flows=True), [Rejected("9", "why")], tmp_path, info=INFO)
    (tmp_path / "notes.txt").write_text("mine")
    write_run(make_run(), [], tmp_path, info=INFO)
    assert names(tmp_path) == {"contracts.parquet", "plans.parquet", "run.json", "notes.txt"}


@pytest.mark.parametrize("name", ["notes.txt", "products.parquet", "run.json"])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"by": "another program"}')
    (tmp_path / "other").mkdir()
    before = names(tmp_path)
    with pytest.raises(RunFolderError, match="and no run; name a new or an empty folder"):
        check_run_folder(tmp_path)
    with pytest.raises(RunFolderError):
        write_run(make_run(), [], tmp_path, info=INFO)
    assert names(tmp_path) == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunFolderError, match="is a file; name a folder for the run"):
            check_run_folder(path)


def test_new_and_empty_folders_will_do(tmp_path: Path) -> None:
    check_run_folder(tmp_path)
    write_run(make_run(), [], tmp_path / "deep" / "run", info=INFO)
    check_run_folder(tmp_path / "deep" / "run")


def test_a_run_cut_off_while_writing_can_be_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(make_run(), [], tmp_path, info=INFO)
    write = pq.ParquetWriter.write_table

    def full_disk(writer: pq.ParquetWriter, table: pa.Table, **options: Any) -> None:
        write(writer, table, **options)
        if "jit_units" in table.column_names:
            raise OSError("no space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_run(make_run(), [], tmp_path, info=INFO)
    assert names(tmp_path) == {"contracts.parquet", "plans.parquet"}
    assert pq.read_table(tmp_path / "plans.parquet").num_rows == 2
    with pytest.raises(FileNotFoundError):
        read_run(tmp_path)
    monkeypatch.undo()
    write_run(make_run(), [], tmp_path, info=INFO)
    assert read_run(tmp_path)[0]["plans"].num_rows == 2


def test_columns_that_do_not_match_the_contract_are_refused_before_anything_is_touched(
    tmp_path: Path,
) -> None:
    write_run(make_run(), [], tmp_path, info=INFO)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    missing, unknown, short, wrong = make_run(), make_run(), make_run(), make_run()
    del missing.contracts["gain"]
    unknown.plans["colour"] = ["red", "blue"]
    short.plans["week"] = np.array([0], dtype=np.int32)
    wrong.contracts["rounds"] = np.array([1.5, 2.0])
    for run, words in (
        (missing, "contracts has missing or unknown columns: gain"),
        (unknown, "plans has missing or unknown columns: colour"),
        (short, "plans does not match its columns"),
        (wrong, "contracts does not match its columns"),
    ):
        with pytest.raises(ValueError, match=words):
            write_run(run, [], tmp_path, info=INFO)
    with pytest.raises(ValueError, match="info lacks version, fleet_fingerprint"):
        write_run(make_run(), [], tmp_path, info={"settings": {}})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_without_contracts(tmp_path: Path) -> None:
    run = make_run()
    empty = Run({name: [] for name in run.contracts}, {name: [] for name in run.plans}, None)
    write_run(empty, [Rejected("1", "why")], tmp_path, info=INFO)
    tables, facts = read_run(tmp_path)
    assert tables["contracts"].num_rows == 0
    assert tables["contracts"].schema.names == CONTRACTS
    assert facts["rounds"] == {"median": None, "p99": None, "max": None}
    assert facts["status_counts"] == {}
