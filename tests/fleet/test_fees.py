"""Fees by rule over a whole fleet: each supplier's choice on its own schedule against exact programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from jaxcpp.fleet.rules import FeeError, FeeRule
from jaxcpp.fleet.settings import Settings, Units
from jaxcpp.fleet.solve import plan_fleet
from tests import oracles
from tests.fleet.answers import Answer, answers
from tests.fleets import FLAGS, Sample, from_problems, random_sample, read
from tests.strategies import Options, build

pytestmark = pytest.mark.slow

CONTRACTS = 48


def whole_sample() -> Sample:
    """Contracts whose demand, capacity and stock are whole; the strategies draw eighths."""
    found = {}
    for number in range(CONTRACTS):
        rng = np.random.default_rng([13, number])
        flags = {name: bool(rng.random() < 0.5) for name in FLAGS}
        tight: Literal["loose", "tight"] = "tight" if rng.random() < 0.3 else "loose"
        problem = build(Options(3, 4, 2, 3, capacity=tight, seed=number, **flags))
        units = {name: np.floor(getattr(problem, name) * 8.0) for name in ("demand", "capacity", "inventory")}
        found[f"p{number:02d}"] = replace(problem, **units)
    return from_problems(found)


def rule_of(answer: Answer, rules: tuple[FeeRule, ...]) -> FeeRule:
    vendor, product = answer.row["vendor_id"], answer.row["product_ids"][0]
    fitting = [rule for rule in rules if rule.vendor in ("", vendor) and rule.product in ("", product)]
    return max(fitting, key=lambda rule: 2 * bool(rule.vendor) + bool(rule.product), default=FeeRule())


@pytest.mark.parametrize(
    ("kind", "units"),
    [
        ("weighted", "continuous"),
        ("tolled", "integer"),
        pytest.param("weighted", "integer", marks=pytest.mark.exhaustive),
        pytest.param("tolled", "continuous", marks=pytest.mark.exhaustive),
    ],
)
def test_every_choice_is_the_best_on_its_schedule(tmp_path, kind, units: Units):
    sample = whole_sample() if units == "integer" else random_sample(7, CONTRACTS)
    fleet = read(sample.tables(), tmp_path / "fleet")
    vendors = [str(vendor) for vendor in fleet.vendor_ids]
    over, under = (0.5, 0.25) if kind == "tolled" else (0.0, 0.0)
    rules = (
        FeeRule(additive=2.0, multiplicative=0.3, over=over, under=under),
        FeeRule(vendor=vendors[0], additive=1.0, roi=1.0, roi_ex_post=0.1),
        FeeRule(vendor=vendors[-1]),
        FeeRule(product=str(fleet.product_ids[3]), multiplicative=50.0, over=over, under=under),
    )
    settings = Settings(fees=rules, units=units)
    run = plan_fleet(fleet, settings)
    counts = {"accepted": 0, "declined": 0, "no_gain": 0}
    lost = 0
    for answer in answers(run, sample):
        row, problem, rule = answer.row, answer.problem, rule_of(answer, rules)
        assert row["status"] in counts, (answer.id, row["status"])
        counts[row["status"]] += 1
        if row["status"] != "accepted" or not answer.filled:
            continue
        weight = 1.0 + rule.multiplicative + rule.roi
        stand_alone = oracles.best_jit_utility(problem)
        above, below = np.asarray(rule.over, np.float64), np.asarray(rule.under, np.float64)
        best, _ = oracles.best_choice(problem, answer.jit, weight, above, below)
        cbt = stand_alone - oracles.retailer_utility(problem, answer.plan)
        apart = answer.plan - answer.jit
        deviation_fee = float(above * np.maximum(apart, 0).sum() + below * np.maximum(-apart, 0).sum())
        worth = oracles.supplier_utility(problem, answer.plan) - weight * cbt - deviation_fee
        off = (2.0 + weight) * answer.accuracy
        assert best - weight * stand_alone - worth <= row["efficiency_gap"] + off, answer.id
        price = (weight + rule.roi_ex_post) * cbt + deviation_fee + rule.additive
        assert abs(row["price"] - price) <= row["price_error"] + off, answer.id
        assert row["fee"] == pytest.approx(row["price"] - row["cbt"])
        true = oracles.joint_optimum(problem)[0] - oracles.retailer_utility(problem, answer.plan)
        true -= oracles.supplier_utility(problem, answer.plan)
        assert abs(true - row["efficiency_lost"]) <= row["lost_error"] + off, answer.id
        lost += row["efficiency_lost"] > 1e-3
        if units == "integer":
            np.testing.assert_allclose(answer.plan, np.rint(answer.plan), rtol=1e-12)
    assert counts["accepted"] >= CONTRACTS // 3
    assert counts["declined"] >= 1
    assert lost >= 1


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (FeeRule(vendor="nobody"), "vendor.nobody: the fleet has no vendor 'nobody'"),
        (FeeRule(product="nothing"), "product.nothing: the fleet has no product 'nothing'"),
        (FeeRule(over={"nowhere": 1.0}), "deviation.over: the fleet has no inbound node 'nowhere'"),
        (FeeRule(under={"*": (1.0,)}), r"deviation.under.\*: 1 charges for 3 weeks"),
    ],
)
def test_rules_about_what_is_not_there(tmp_path, rule, message):
    fleet = read(random_sample(7, 4).tables(), tmp_path / "fleet")
    with pytest.raises(FeeError, match=message):
        plan_fleet(fleet, Settings(fees=(rule,)))
