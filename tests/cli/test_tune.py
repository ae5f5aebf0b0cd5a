"""`jaxcpp tune`: from a prior to a fee, its error, its worth on fresh draws, and files.

All runs draw the same numbers of the toy's one contract, so that they share their programs.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from scipy.stats import norm

from jaxcpp.cli.fees import fee_file, parse_fees
from jaxcpp.cli.tune import parse_kinds, progress
from jaxcpp.fleet.prior import OTHERS, Prior, PriorError, drawn, factors, segments
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.tables import read_fleet, write_fleet
from tests.fleets import from_problems
from tests.oracles import toy

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "examples" / "toy"
GAIN = 120.0
"""Of the toy's contract [currency]."""


def prior(tmp_path, text: str) -> Path:
    path = tmp_path / "prior.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_prior_that_is_sure_takes_nearly_all_of_the_gain(run, tmp_path):
    words = "--draws", "12", "--fresh", "8", "--no-plot"
    result = run("tune", TOY, tmp_path / "run", "--prior", prior(tmp_path, "own = 0.0\n"), *words)
    assert result.exit_code == 0, result.stderr
    fees, row = fees_and_worth(tmp_path / "run")
    assert 0.85 * GAIN < fees["additive"]["fee"] < GAIN
    assert row["take"] == pytest.approx(fees["additive"]["fee"])
    assert row["take"] + row["kept"] == pytest.approx(GAIN, rel=1e-3)
    assert row["participation"] == 1.0
    assert fees["additive"]["fee_error"] < 1e-3 * GAIN


def fees_and_worth(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows of the one group: fees by their number, and what they bring."""
    fees = pq.read_table(folder / "fees.parquet").to_pylist()
    return {row["number"]: row for row in fees}, pq.read_table(folder / "tune.parquet").to_pylist()[0]


# Lognormal factors of spread 0.3: the toy's vendor saves 5 f a unit on 30 units, the retailer pays 1 a unit.
# Whatever is charged comes to some c a unit, and the vendor moves all 30 or none: 30 c P(5 f - 1 > c).
CHARGES = np.linspace(0.0, 6.0, 6001)
TAKES = 30.0 * CHARGES * (1.0 - norm.cdf((np.log((1.0 + CHARGES) / 5.0) + 0.045) / 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["multiplicative", "deviation"])
def test_fees_that_move_plans_come_to_the_best_charge_a_unit(run, tmp_path, kind):
    words = "--fee", kind, "--draws", "12", "--fresh", "12", "--no-plot"
    result = run("tune", TOY, tmp_path / "run", "--prior", prior(tmp_path, "own = 0.3\n"), *words)
    assert result.exit_code == 0, result.stderr
    fees, row = fees_and_worth(tmp_path / "run")
    assert set(fees) == ({"over", "under"} if kind == "deviation" else {"multiplicative"})
    charge = sum(fee["fee"] for fee in fees.values())
    error = np.sqrt(sum(fee["fee_error"] ** 2 for fee in fees.values()))
    assert error > 0.0
    assert abs(charge - CHARGES[TAKES.argmax()]) <= 3.0 * error
    expected = np.interp(charge, CHARGES, TAKES)
    assert abs(row["take"] - expected) <= 4.0 * row["take_error"]
    curve = pq.read_table(tmp_path / "run" / "curve.parquet").to_pydict()
    assert len(curve["take"]) == 16
    assert max(curve["additive"]) == 0.0


@pytest.mark.slow
def test_files_and_what_is_said(run, tmp_path):
    words = "--draws", "12", "--fresh", "8", "--floor", "0.9", "--seed", "3"
    result = run(
        "tune", TOY, tmp_path / "run", "--prior", prior(tmp_path, "common = 0.2\nown = 0.3\n"), *words
    )
    assert result.exit_code == 0, result.stderr
    assert "on fresh draws the fees take" in result.stdout
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["settings"]["floor"] == 0.9
    fees, row = fees_and_worth(tmp_path / "run")
    assert row["group"] == "all"
    assert 0.0 < fees["additive"]["fee"] < 2.0 * GAIN
    assert facts["tuned"]["take"] == pytest.approx(row["take"])
    # What `jaxcpp plan --fee` takes.
    assert parse_fees([str(tmp_path / "run" / "fees.toml")]) == (FeeRule(additive=fees["additive"]["fee"]),)
    curve = pq.read_table(tmp_path / "run" / "curve.parquet").to_pydict()
    assert len(curve["additive"]) == 101
    assert np.all(np.diff(curve["participation"]) <= 0.0)
    # Nine tenths of the draws it was tuned on accept it.
    near = curve["participation"][int(np.searchsorted(curve["additive"], fees["additive"]["fee"])) - 1]
    assert near >= 0.9
    picture = (tmp_path / "run" / "tune.svg").read_text()
    assert "additive fee [USD / contract]" in picture or "additive fee [" in picture
    assert picture == _again(run, tmp_path, words)


def _again(run, tmp_path, words) -> str:
    """The picture of a second run of the same."""
    folder = tmp_path / "again"
    assert run("tune", TOY, folder, "--prior", tmp_path / "prior.toml", *words).exit_code == 0
    return (folder / "tune.svg").read_text()


@pytest.mark.slow
def test_fees_by_segment_and_by_vendor_take_more_than_one_for_all(run, tmp_path):
    """The toy, and one whose lanes cost ten times as much: costs of a segment's vendors move together."""
    small = toy()
    large = replace(
        small, unit_cost=10.0 * small.unit_cost, supplier_unit_cost=10.0 * small.supplier_unit_cost,
        margin=200.0, supplier_margin=200.0,
    )  # fmt: skip
    tables = from_problems({"small": small, "large": large}).tables()
    write_fleet(tmp_path / "fleet", tables, {"name": "two", "currency": "USD"})
    text = 'common = 0.1\n[segments]\nvendor-of-large = "dear"\n'
    takes = {}
    for by, groups in (("fleet", ["all"]), ("segment", ["dear", OTHERS]), ("vendor", None)):
        words = "--by", by, "--draws", "6", "--fresh", "4", "--no-plot"
        result = run(
            "tune", tmp_path / "fleet", tmp_path / f"by-{by}", "--prior", prior(tmp_path, text), *words
        )
        assert result.exit_code == 0, result.stderr
        table = pq.read_table(tmp_path / f"by-{by}" / "tune.parquet").to_pydict()
        fees = dict(
            zip(table["group"], pq.read_table(tmp_path / f"by-{by}" / "fees.parquet")["fee"], strict=True)
        )
        assert table["group"] == (groups or ["vendor-of-large", "vendor-of-small"])
        takes[by] = sum(table["take"])
        rules = parse_fees([str(tmp_path / f"by-{by}" / "fees.toml")])
        known = {rule.vendor: rule.additive for rule in rules if rule.additive}
        everyone = {"all": "", "dear": "vendor-of-large", OTHERS: ""}
        assert known == {everyone.get(name, name): fee.as_py() for name, fee in fees.items()}
    # One for all is the large one's, which the small one declines: a tenth of the take is left.
    assert takes["vendor"] == pytest.approx(takes["segment"], rel=0.05)
    assert takes["segment"] > 1.03 * takes["fleet"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speed = 1\n", "known names: common, own, segments"),
        ('own = "much"\n', "own must be a number"),
        ("own = 9.0\n", "standard deviation of a logarithm"),
        ('[segments]\nnobody = "a"\n', "nobody"),
        ("own = \n", "is not TOML"),
    ],
)
def test_a_prior_that_is_none(run, tmp_path, text, said):
    result = run("tune", TOY, tmp_path / "run", "--prior", prior(tmp_path, text), "--no-plot")
    assert result.exit_code == 2
    assert said in " ".join((result.stderr + result.stdout).replace("│", " ").split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fee", "tax"), "'tax' cannot be tuned; what can: additive,"),
        (("--fee", "roi-ex-post"), "would not answer truthfully"),
        (("--fee", "roi", "--fee", "multiplicative"), "tune one of them"),
        (("--by", "moon"), "none of fleet, segment, vendor"),
    ],
)
def test_what_cannot_be_tuned(run, tmp_path, words, said):
    result = run("tune", TOY, tmp_path / "run", "--prior", prior(tmp_path, "own = 0.1\n"), *words)
    assert result.exit_code == 2
    assert said in " ".join((result.stderr + result.stdout).replace("│", " ").split())


def test_the_bar_shows_the_objective(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    with progress(console, "USD") as tell:
        tell("fees", 3, 60, 1234.5)
    assert "fees" in shown.getvalue()
    assert "objective 1,234.50 USD" in shown.getvalue()


def test_a_file_of_fees_is_read_as_it_was_written(tmp_path):
    rules = (
        FeeRule(additive=12.5, over=0.25),
        FeeRule(vendor='a "dot." [b]', multiplicative=0.125, roi_ex_post=1e-3),
        FeeRule(vendor="zé"),
    )
    path = tmp_path / "fees.toml"
    path.write_text(fee_file(rules[::-1]), encoding="utf-8")
    assert parse_fees([str(path)]) == rules


def test_sums_of_fees():
    assert parse_kinds(["additive", "deviation"]) == ("additive", "over", "under")
    assert parse_kinds(["deviation=over", "deviation"]) == ("over", "under")


def test_factors_have_mean_one_and_move_together_within_a_segment():
    fleet, _ = read_fleet(ROOT / "examples" / "iowa")
    names = fleet.vendor_ids.astype(str)
    belief = Prior(0.3, 0.1, {str(name): "first" for name in names[:90]})
    known, of = segments(belief, fleet)
    assert known == ["first", OTHERS]
    seen = np.stack([factors(belief, fleet, np.random.default_rng(seed)) for seed in range(4000)])
    assert seen.mean() == pytest.approx(1.0, abs=0.02)
    logs = np.log(seen)
    same = np.corrcoef(logs[:, of == 0][:, :2].T)[0, 1]
    other = np.corrcoef(logs[:, [0, 120]].T)[0, 1]
    assert same == pytest.approx(0.9, abs=0.03)
    assert abs(other) < 0.1
    with pytest.raises(PriorError, match="standard deviation"):
        segments(Prior(own=-1.0), fleet)


def test_a_draw_moves_lanes_and_nothing_else():
    fleet, _ = read_fleet(TOY)
    world = drawn(Prior(own=0.5), fleet, np.random.default_rng(0))
    ratio = world.inbound_lanes.unit_cost / fleet.inbound_lanes.unit_cost
    assert np.ptp(ratio) < 1e-12
    assert ratio[0] != 1.0
    assert world.demand is fleet.demand
    assert world.sources is fleet.sources
