"""The benchmark's cases are what they say, its network is the contract, and wrong answers stop it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import linprog

from bench import contracts
from bench.cases import CASES, Case, Instances, generate
from bench.network import costs, network
from bench.peers import jaxcpp_batch
from bench.peers.answers import Answer
from tests import oracles

SMALL = Case(inbound=3, regions=4, sources=2, weeks=3)


def answer(*found, certified=()):
    return Answer(list(found), [1.0], [2.0], "here", {}, "exact", certified=list(certified))


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


def test_jaxcpp_answers_the_same_contracts():
    instances = generate(SMALL, 3)
    found = jaxcpp_batch.run(instances, 1e-6, 1)
    assert found.costs == pytest.approx(joint_costs(instances), rel=1e-6)
    assert max(found.certified) <= 1e-6
    assert (len(found.build), len(found.solve)) == (1, 1)


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (answer(100.0, 200.0), []),
        (answer(100.0, 200.0 + 1e-4, certified=(0.0, 1e-6)), []),
        (answer(100.0, 200.1), ["5.0e-04 dearer"]),
        (answer(100.0, np.nan), ["dearer"]),
        (
            answer(100.0, 200.0 + 1e-4, certified=(0.0, 1e-7)),
            ["true gap beyond the certified one by 4.0e-07"],
        ),
    ],
)
def test_wrong_answers_are_named(ours, words):
    wrong = contracts.disagreements({"jaxcpp": ours, "exact": answer(100.0, 200.0)}, 1e-6)
    assert len(wrong) >= len(words)
    assert bool(wrong) == bool(words)
    for word in words:
        assert any(word in line for line in wrong)


@pytest.mark.parametrize(("wrong", "status"), [(False, 0), (True, 1)])
def test_nothing_is_timed_unless_the_answers_agree(monkeypatch, tmp_path, capsys, wrong, status):
    asked = []

    def ask(peer, path, tolerance, repeats):  # noqa: ARG001
        asked.append(repeats)
        return answer(*([1.0] * 4 if not (wrong and peer.title == "jaxcpp") else [2.0] * 4))

    monkeypatch.setattr(contracts, "ask", ask)
    monkeypatch.setattr(contracts, "RESULTS", tmp_path)
    monkeypatch.setattr(contracts, "ROOT", tmp_path)
    monkeypatch.setattr(
        contracts, "PEERS", {name: contracts.Peer("-", "jax", name) for name in ("jaxcpp", "exact")}
    )
    assert (
        contracts.main(["--size", "S", "--batch", "4", "--repeats", "5", "--peers", "jaxcpp,exact"]) == status
    )
    assert asked == ([1, 1] if wrong else [1, 1, 5, 5])
    stored = list(tmp_path.glob("*.json"))
    assert len(stored) == (0 if wrong else 1)
    if not wrong:
        row = json.loads(stored[0].read_text())["rows"][0]
        assert (row["contracts_per_second"], row["accuracy_reached"]) == (2.0, 0.0)
        assert row["contracts_per_second_with_building"] == pytest.approx(4 / 3)
        assert "jaxcpp" in capsys.readouterr().out
