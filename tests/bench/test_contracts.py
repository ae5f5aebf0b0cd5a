"""The benchmark's cases are what they say, its network is the contract, and wrong answers stop it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from bench import admm, contracts, limits
from bench.cases import CASES, Case, Instances, generate
from bench.network import costs, network, unbalanced
from bench.peers import jaxcpp_batch
from bench.peers.answers import Answer
from bench.peers.registry import PEERS, present
from tests import oracles

SMALL = Case(inbound=3, regions=4, sources=2, weeks=3)


def answer(*found, certified=(), unbalanced=()):
    proven, missed = list(certified), list(unbalanced)
    return Answer(list(found), [1.0], [2.0], "here", {}, "exact", certified=proven, unbalanced=missed)


def joint_costs(instances: Instances) -> list[float]:
    """Least chain costs by the oracle; with no margins a cost is a utility with its sign turned."""
    return [
        -oracles.joint_optimum(
            oracles.Problem(
                unit_cost=instances.unit_cost[index],
                demand=instances.demand[index],
                margin=0.0,
                supplier_unit_cost=instances.supplier_unit_cost[index],
                capacity=instances.capacity[index],
                supplier_margin=0.0,
                inventory=np.zeros(instances.case.inbound),
                holding=instances.holding,
                backlog=instances.backlog,
                supplier_holding=instances.supplier_holding,
            )
        )[0]
        for index in range(len(instances))
    ]


def test_equal_seeds_equal_contracts_and_a_file_keeps_them(tmp_path):
    instances = generate(SMALL, 2, seed=5)
    instances.save(tmp_path / "instances.npz")
    loaded = Instances.load(tmp_path / "instances.npz")
    assert loaded.case == SMALL
    for again in (generate(SMALL, 2, seed=5), loaded):
        for name in ("unit_cost", "demand", "supplier_unit_cost", "capacity", "holding", "backlog"):
            np.testing.assert_array_equal(getattr(again, name), getattr(instances, name))
    assert not np.array_equal(generate(SMALL, 2, seed=6).demand, instances.demand)


@pytest.mark.parametrize("size", sorted(CASES))
def test_cases_are_as_described(size):
    instances = generate(CASES[size], 2)
    assert instances.case == CASES[size]
    for cost in (instances.unit_cost, instances.supplier_unit_cost):
        assert cost.min() >= 1.0
        assert cost.max() <= 6.0
    assert (instances.demand >= 1).all()
    np.testing.assert_array_equal(instances.demand, np.round(instances.demand))
    ratio = instances.capacity.sum(axis=1) / instances.demand.sum(axis=1)
    assert ((ratio >= 1.5) & (ratio < 1.6)).all()


def test_the_network_is_the_contract():
    instances = generate(SMALL, 3)
    arcs = network(SMALL)
    rows = np.zeros((arcs.sources + arcs.inbound + arcs.regions, len(arcs.tail)))
    rows[arcs.tail, np.arange(len(arcs.tail))] -= 1.0
    rows[arcs.head, np.arange(len(arcs.tail))] += 1.0
    for index, expected in enumerate(joint_costs(instances)):
        supply = np.concatenate([np.zeros(arcs.inbound), instances.demand[index].ravel()])
        found = linprog(
            costs(instances, index),
            A_ub=-rows[: arcs.sources],
            b_ub=instances.capacity[index].ravel(),
            A_eq=rows[arcs.sources :],
            b_eq=supply,
        )
        assert found.fun == pytest.approx(expected, rel=1e-9)
        one = instances.some(slice(index, index + 1))
        assert max(unbalanced(one, found.x[None, :])) <= 1e-9
        (missed,) = unbalanced(one, 0.9 * found.x[None, :])
        assert missed == pytest.approx(0.1)  # a tenth of the demand; nothing passes in or out elsewhere


def test_jaxcpp_answers_the_same_contracts():
    instances = generate(SMALL, 3)
    found = jaxcpp_batch.run(instances, 1e-6, 1, "newton")
    assert found.costs == pytest.approx(joint_costs(instances), rel=1e-6)
    assert max(found.certified) <= 1e-6
    assert min(found.rounds) > 0
    assert (len(found.build), len(found.solve)) == (1, 1)


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (answer(100.0, 200.0), []),
        (answer(100.0, 200.0 + 1e-4, certified=(0.0, 1e-6)), []),
        (answer(100.0, 200.1), ["5.0e-04 from the best"]),
        (answer(100.0, 200.0, unbalanced=(0.0, 1e-3)), ["1.0e-03 from the best"]),
        (answer(90.0, 200.0, unbalanced=(0.0, 0.0)), ["1.0e-01 from the best"]),
        (answer(100.0, np.nan), ["from the best"]),
        (
            answer(100.0, 200.0 + 1e-4, certified=(0.0, 1e-7)),
            ["true gap beyond the certified one by 4.0e-07"],
        ),
    ],
)
def test_wrong_answers_are_named(ours, words):
    answers = {("jaxcpp", 1e-6): ours, ("ortools", 1e-6): answer(100.0, 200.0)}
    wrong = contracts.disagreements(answers, contracts.best_known(answers))
    assert len(wrong) >= len(words)
    assert bool(wrong) == bool(words)
    for word in words:
        assert any(word in line for line in wrong)


def test_an_inexact_peer_is_told_of_not_refused():
    answers = {
        ("ortools", 1e-6): answer(100.0, 200.0),
        ("mpax", 1e-4): answer(100.1, unbalanced=(1e-4,)),
    }
    best = contracts.best_known(answers)
    assert contracts.disagreements(answers, best) == []
    assert contracts.accuracy(answers, best)["mpax", 1e-4] == pytest.approx(1e-3)


@pytest.fixture
def asked(monkeypatch):
    """What peers are asked for, when all of them answer alike but jaxcpp, whose costs are these."""
    questions, costs = [], [1.0] * 4

    def ask(peer, path, tolerance, repeats, count):
        assert path.exists()
        questions.append((peer.title, tolerance, repeats, count))
        return answer(*(costs if peer.title == "jaxcpp" else [1.0] * 4)[:count])

    monkeypatch.setattr(contracts, "ask", ask)
    monkeypatch.setattr(
        "bench.machine.ceilings", lambda: {"gigabytes_per_second": 1.0, "float64_gigaflops": 1.0}
    )
    return questions, costs


def test_a_comparison_asks_each_peer_what_it_can_answer(asked):
    plan = contracts.Plan("S", 4, (1e-4, 1e-6), repeats=5)
    found = contracts.compare(plan, {name: PEERS[name] for name in ("jaxcpp", "ortools", "mpax")})
    assert asked[0] == [
        ("jaxcpp", 1e-6, 5, 4),
        ("jaxcpp", 1e-4, 5, 4),
        ("OR-Tools flow", 1e-6, 5, 4),
        ("MPAX r2HPDHG", 1e-4, 5, 4),
    ]
    row = found["rows"][0]
    assert (row["contracts_per_second"], row["accuracy_reached"]) == (2.0, 0.0)
    assert row["contracts_per_second_with_building"] == pytest.approx(4 / 3)
    assert row["share"]["of_bandwidth"] == pytest.approx(2.0 * 8.0 * limits.numbers(CASES["S"]) / 1e9)
    assert "OR-Tools flow" in [line["title"] for line in found["rows"]]


def test_nothing_is_told_unless_the_answers_agree(asked):
    asked[1][2] = 2.0
    with pytest.raises(contracts.DisagreementError, match=r"jaxcpp: a plan 1.0e\+00 from the best known"):
        contracts.compare(contracts.Plan("S", 4), {name: PEERS[name] for name in ("jaxcpp", "ortools")})


def test_an_absent_peer_is_said_to_be_absent(monkeypatch):
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in ("ott", "moreau") else object()
    )
    here, absent = present(["jaxcpp", "moreau", "ott-admm"])
    assert list(here) == ["jaxcpp"]
    assert absent == [
        "moreau is left out: moreau is not installed",
        "OTT-JAX in ADMM is left out: ott is not installed",
    ]


def test_dense_work_of_a_contract():
    case = Case(inbound=2, regions=3, sources=1)
    assert limits.numbers(case) == 2 * 3 + 2 * 1 + 3 + 1
    assert limits.operations(case) == pytest.approx(2 * 4 * (5 + 2) + 8 / 3)


def test_the_verdict_on_admm_is_a_ratio_at_one_accuracy():
    rows = [
        {
            "peer": "jaxcpp-admm",
            "contracts": 8,
            "solve": [1.0, 9.0, 2.0],
            "certified": 1.0,
            "tolerance": 1e-3,
        },
        {"peer": "ott-admm", "contracts": 4, "solve": [20.0], "certified": 0.75, "tolerance": 1e-3},
    ]
    words = admm.verdict({"rows": rows})
    assert words.startswith("20.0 times OTT-JAX")
    assert "100 % of ours and 75 % of theirs" in words
    assert "not there" in admm.verdict({"rows": rows[:1]})
