"""The border lets sound answers through, names what is wrong with others, and writes all of it down."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from jaxcpp.agents.border import ANSWERS, FAULTS, Border, BorderLog
from jaxcpp.agents.outside import KINDS, kind_of

CONTRACTS, NODES = 3, 2
PRICE = np.arange(6.0).reshape(CONTRACTS, NODES)


class Dual:
    """Answers what it is told to answer."""

    def __init__(self, plan=None, utility=None):
        self.plan = np.ones((CONTRACTS, NODES)) if plan is None else plan
        self.utility = np.zeros(len(self.plan)) if utility is None else utility

    def best_plan(self, price):
        price[:] = np.nan  # an agent may do as it likes with what it is given
        return self.plan, self.utility


class Raises:
    def best_plan(self, price):
        raise KeyError(f"no such product among {len(price)}")


class Sleeps:
    def __init__(self):
        self.wake = threading.Event()

    def best_plan(self, price):
        self.wake.wait(60.0)
        return np.ones(price.shape), np.zeros(len(price))


def with_entry(value, lane=1):
    plan = np.ones((CONTRACTS, NODES))
    plan[lane, 0] = value
    return plan


def test_a_sound_answer_passes_unchanged_and_the_question_is_a_copy():
    border = Border(Dual(plan=np.array([[1, 2]] * CONTRACTS)), "vendor", CONTRACTS, NODES)
    kept = PRICE.copy()
    plan, utility = border.ask("best_plan", price=kept)
    np.testing.assert_array_equal(kept, PRICE)
    np.testing.assert_array_equal(plan, [[1.0, 2.0]] * CONTRACTS)
    np.testing.assert_array_equal(utility, 0.0)
    assert border.alive.all()
    assert border.kind == "dual"


@pytest.mark.parametrize(
    ("agent", "fault"),
    [
        (Raises(), "failed"),
        (Dual(plan=np.ones((CONTRACTS, NODES + 1))), "wrong_shape"),
        (Dual(plan=np.ones((CONTRACTS, NODES)), utility=np.zeros((CONTRACTS, 1))), "wrong_shape"),
        (Dual(plan=[[1.0], [1.0, 2.0], [3.0]]), "wrong_shape"),
        (Dual(plan=np.full((CONTRACTS, NODES), "many")), "wrong_type"),
        (Dual(plan=np.ones((CONTRACTS, NODES), complex)), "wrong_type"),
        (Dual(plan=np.array([[None, 1.0]] * CONTRACTS)), "wrong_type"),
    ],
    ids=["raises", "nodes", "utility", "ragged", "text", "complex", "none"],
)
def test_an_answer_that_is_wrong_as_a_whole_fails_the_batch(agent, fault):
    border = Border(agent, "vendor", CONTRACTS, NODES)
    answer = border.ask("best_plan", price=PRICE)
    assert list(border.fault) == [fault] * CONTRACTS
    assert all(not part.any() for part in answer)
    assert all(reason.startswith("vendor: best_plan") for reason in border.reason)


@pytest.mark.parametrize(
    ("value", "fault"),
    [(np.nan, "not_finite"), (np.inf, "not_finite"), (-0.5, "negative_units")],
)
def test_a_wrong_number_fails_its_own_contract_only(value, fault):
    border = Border(Dual(plan=with_entry(value)), "vendor", CONTRACTS, NODES)
    plan, _ = border.ask("best_plan", price=PRICE)
    assert list(border.fault) == ["", fault, ""]
    np.testing.assert_array_equal(plan, [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])


def test_dust_below_nothing_is_nothing():
    border = Border(Dual(plan=with_entry(-1e-12)), "vendor", CONTRACTS, NODES)
    plan, _ = border.ask("best_plan", price=PRICE)
    assert border.alive.all()
    assert plan[1, 0] == 0.0


def test_a_value_may_be_a_refusal_but_no_other_infinity():
    class Valued(Dual):
        def value(self, plan):
            return np.array([-np.inf, np.inf, 1.0]) * np.ones(len(plan))

    border = Border(Valued(), "vendor", CONTRACTS, NODES)
    (value,) = border.ask("value", plan=PRICE)
    assert list(border.fault) == ["", "not_finite", ""]
    np.testing.assert_array_equal(value, [-np.inf, 0.0, 1.0])


def test_agents_of_their_own_fail_on_their_own():
    sleeper = Sleeps()
    one = Dual(plan=np.full((1, NODES), 2.0))
    border = Border([one, Raises(), sleeper], "vendor", CONTRACTS, NODES, deadline=0.2)
    plan, _ = border.ask("best_plan", price=PRICE)
    assert list(border.fault) == ["", "failed", "late"]
    np.testing.assert_array_equal(plan, [[2.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    crossed = len(border.log.crossings)
    border.ask("best_plan", price=PRICE)
    again = border.log.crossings[crossed:]
    assert {crossing.contracts for crossing in again} == {0}, "who has failed is not asked again"
    sleeper.wake.set()


def test_the_first_fault_of_a_contract_stays():
    border = Border(Dual(), "vendor", CONTRACTS, NODES)
    border.blame(1, "inconsistent", "first")
    border.blame(slice(None), "late", "second")
    assert list(border.fault) == ["late", "inconsistent", "late"]
    assert [fault["contract"] for fault in border.log.faults] == [1, 0, 2]


def test_the_log_lists_what_crossed_and_is_written_line_by_line(tmp_path):
    log = BorderLog(keep=True)
    border = Border(Dual(plan=with_entry(np.nan)), "vendor", CONTRACTS, NODES, log=log)
    border.round = 7
    border.ask("best_plan", price=PRICE)
    seen = [(c.round, c.method, c.direction, c.name, c.shape, c.bytes) for c in log.crossings]
    assert seen == [
        (7, "best_plan", "asked", "price", (CONTRACTS, NODES), 48),
        (7, "best_plan", "answered", "plan", (CONTRACTS, NODES), 48),
        (7, "best_plan", "answered", "utility", (CONTRACTS,), 24),
    ]
    log.write(tmp_path / "border.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "border.jsonl").read_text().splitlines()]
    assert lines[0]["values"] == PRICE.tolist()
    assert lines[-1]["fault"]["fault"] == "not_finite"
    assert len(lines) == 4


def test_without_keep_the_log_holds_no_numbers():
    border = Border(Dual(), "vendor", CONTRACTS, NODES)
    border.ask("best_plan", price=PRICE)
    assert all(crossing.values is None for crossing in border.log.crossings)


def test_what_is_no_agent_is_refused_in_words():
    with pytest.raises(TypeError, match=r"best_response.*best_plan.*value_and_gradient"):
        Border(object(), "vendor", CONTRACTS, NODES)
    with pytest.raises(ValueError, match="2 agents for 3 contracts"):
        Border([Dual(), Dual()], "vendor", CONTRACTS, NODES)


def test_every_fault_means_something_and_every_kind_has_its_answer():
    assert all(FAULTS.values())
    assert {method for _, method in KINDS.values()} <= set(ANSWERS)
    assert kind_of(Dual()) == "dual"
