"""Stored results: compared in words, laid out as the README's tables, and the README agrees with them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from bench import readme, scaling
from bench.__main__ import app
from bench.compare import OtherDeviceError, ratios, summary
from bench.everything import parts, run_all
from bench.stored import RESULTS, document, load, rate, store

LINE = {
    "peer": "jaxcpp",
    "title": "jaxcpp",
    "tolerance": 1e-6,
    "accuracy_reached": 3e-7,
    "worst_certified_gap": 5e-7,
    "device": "cpu cpu",
}


def row(label="jaxcpp, 1e-06", contracts=100, solve=(1.0, 2.0, 4.0), **facts):
    return {**LINE, "label": label, "contracts": contracts, "solve": list(solve), "platform": "cpu", **facts}


def made(*rows, processor="2 x this"):
    return {
        "kind": "contracts",
        "processor": processor,
        "date": "2026-01-01",
        "commit": "abc",
        "rows": list(rows),
    }


def test_ratios_say_which_is_faster_and_whether_that_is_noise():
    before = made(row("a"), row("b"), row("c", solve=[3.0]), row("gone"))
    after = made(
        row("a", contracts=200, solve=[0.5, 0.6, 0.7]), row("b", solve=[3.0, 3.0]), row("c", solve=[9.0])
    )
    one, two, three = ratios(before, after)
    assert one.before == 50.0
    assert one.after == pytest.approx(200 / 0.6)
    assert one.words == "the second is 6.67 times as fast, beyond the noise of the repeats"
    assert two.words == "no difference beyond the noise of the repeats"
    assert three.words == "the first is 3.00 times as fast, one repeat only: noise is not known"
    assert summary([one, two, three]).startswith(
        "of 3 rows the second is faster in 1, slower in 1, not told apart in 1"
    )


@pytest.mark.parametrize("after", [made(row(), processor="16 x that"), made(row(device="gpu other"))])
def test_other_devices_are_refused_unless_told(after):
    with pytest.raises(OtherDeviceError, match=r"different devices: .*--other-device"):
        ratios(made(row()), after)
    assert len(ratios(made(row()), after, other_device=True)) == 1
    with pytest.raises(ValueError, match="no row in common"):
        ratios(made(row()), made(row("else")))


def test_the_command_line_compares_files(tmp_path):
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    paths[0].write_text(json.dumps(made(row())))
    paths[1].write_text(json.dumps(made(row(solve=[0.1]))))
    paths[2].write_text("{}")
    done = CliRunner().invoke(app, ["compare", *map(str, paths[:2])])
    assert done.exit_code == 0
    assert "the second is 20.00 times as fast" in " ".join(done.output.split())
    done = CliRunner().invoke(app, ["compare", *map(str, paths[::2])])
    assert done.exit_code == 1
    assert "it has no rows" in done.output


def test_the_front_door_refuses_what_is_not_there():
    for command, word in (
        (["contracts", "--size", "Q"], "Q: no such size"),
        (["contracts", "--peers", "x"], "x: no"),
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 2
        assert word in done.output


def test_a_document_says_where_it_was_made_and_whether_others_worked_there(tmp_path):
    path = store("some", document("contracts", [row(platform="gpu")], size="S"), tmp_path)
    assert path.name == "some-gpu.json"
    found = load(path)
    assert {"commit", "date", "python", "processor", "load_before", "busy"} <= set(found)
    assert rate(found["rows"][0]) == 50.0


def test_tables_are_made_of_the_results(tmp_path):
    exact = {"peer": "ortools", "title": "OR-Tools flow", "worst_certified_gap": None}
    ours = row(solve=[0.01]), row("loose", tolerance=1e-4, contracts=7)
    found = made(row("exact", **exact), *ours) | {"busy": True}
    (tmp_path / "contracts-S-cpu.json").write_text(json.dumps(found))
    (tmp_path / "contracts-L-cpu.json").write_text(json.dumps(made(row(accuracy_reached=4e-7))))
    lines = readme.tables(tmp_path).splitlines()
    assert lines[2:5] == [
        "| jaxcpp, certified to 1e-06, 2 CPU cores | 4e-07 | 10,000 |  | 50 |  |",
        "| jaxcpp, certified to 0.0001, 2 CPU cores | 3e-07 | 3.5 |  |  |  |",
        "| OR-Tools flow, 2 CPU cores | 3e-07 | 50 |  |  |  |",
    ]
    assert "the machine was busy" in lines[-1] + lines[-2]


def test_the_readme_agrees_with_the_stored_results():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.written(text, readme.tables(RESULTS)) == text, "run: python -m bench table"


def test_every_stored_result_with_rows_is_read():
    for path in RESULTS.glob("*.json"):
        if "kind" in json.loads(path.read_text(encoding="utf-8")):
            found = load(path)
            assert found["rows"], path.name
            assert all(rate(line) > 0.0 and line["label"] for line in found["rows"]), path.name


def test_a_text_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs one line"):
        readme.written("nothing", "table")


def test_flatness_is_of_a_thousand_contracts_and_more():
    points = ((10, 5.0, 1.0), (1000, 1.0, 10.0), (3000, 2.4, 14.0))
    rows = [
        row(contracts=n, solve=[s], work=1e-3 * n, megabytes=m, megabytes_before=m / 2.0)
        for n, s, m in points
    ]
    found = scaling.flatness(rows)
    assert found == pytest.approx(
        {"from": 1000, "to": 3000, "time": 1.25, "work": 1.0, "kilobytes_each": 2.048, "solving": 1.024}
    )
    assert scaling.flatness(rows[:2]) is None


@pytest.mark.slow
def test_the_plot_of_scaling_has_a_line_a_series_and_no_date(tmp_path):
    pytest.importorskip("matplotlib")
    points = [
        row(contracts=n, solve=[1e-3 * n], megabytes=n, megabytes_before=0.0, numbers=n, series=name)
        for name in ("contracts of size S", "problems")
        for n in (10, 1000)
    ]
    paths = [tmp_path / name for name in ("one.svg", "two.svg")]
    for path in paths:
        scaling.plot({"rows": points}, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_text(encoding="utf-8").count("contracts of size S") == 1


def test_everything_keeps_to_its_budget_and_names_what_it_left_out(tmp_path, monkeypatch):
    wanted = parts(tmp_path)
    assert sum(seconds for _, seconds, _ in wanted) <= 780.0
    ran: list[list[str]] = []

    def run(command, **_):
        ran.append(command)
        return SimpleNamespace(returncode=len(ran) - 1)

    monkeypatch.setattr("bench.everything.subprocess.run", run)
    left_out = run_all([("a", 1.0, ["x"]), ("b", 2.0, ["y"]), ("c", 1e9, ["z"])], 60.0, lambda _: None)
    assert [command[-1] for command in ran] == ["x", "y"]
    assert left_out == ["b", "c"]  # one failed, one would not fit
