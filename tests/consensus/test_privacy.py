"""The coordinator sees answers only: an agent whose data is a trap must never be touched elsewhere."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

from jaxcpp.agents import Retailer, Supplier
from jaxcpp.agents.protocol import Agent
from jaxcpp.consensus.solve import solve
from jaxcpp.mechanism.terms import frame, money
from jaxcpp.transport import kernels

ALLOWED = {
    "quote", "respond", "propose", "confirm", "bound", "memory", "best_response", "value_and_gradient",
}  # fmt: skip


class OpenedError(AssertionError):
    """Something looked where it may not."""


class Trap:
    """Passes the protocol's questions on, writes them down, and springs at anything else."""

    def __init__(self, agent, asked):
        object.__setattr__(self, "_Trap__agent", agent)
        object.__setattr__(self, "_Trap__asked", asked)

    def __getattribute__(self, name):
        if name in ALLOWED:
            asked = object.__getattribute__(self, "_Trap__asked")
            answer = getattr(object.__getattribute__(self, "_Trap__agent"), name)

            def question(*args):
                asked.append(name)
                return answer(*args)

            return question
        if name == "__class__":
            return Trap
        raise OpenedError(name)


def agents():
    retailer = Retailer([[1, 5], [2, 3]], [40, 60], 20.0)
    supplier = Supplier([[10, 5], [1, 2]], [100, 10], 20.0)
    terms = frame(retailer, supplier, money(retailer, supplier))
    return retailer.agent(terms), supplier.agent(terms)


def test_the_trap_springs():
    retailer, _ = agents()
    with pytest.raises(OpenedError):
        _ = Trap(retailer, []).side


def test_the_protocol_is_what_the_trap_lets_pass():
    questions = {
        name for name in vars(Agent) | {k: 0 for base in Agent.__mro__ for k in vars(base)} if name[0] != "_"
    }
    assert questions == ALLOWED


@pytest.mark.parametrize("method", ["newton", "admm"])
def test_the_coordinator_sees_answers_only(method, monkeypatch):
    # Without traps our own agents' rounds may be played natively: the same, but not to the last digit.
    monkeypatch.setattr(kernels, "playable", lambda _: False)
    retailer, supplier = agents()
    asked_retailer: list[str] = []
    asked_supplier: list[str] = []
    tolerance = jnp.asarray(1e-5)
    outcome = solve(Trap(retailer, asked_retailer), Trap(supplier, asked_supplier), tolerance, method)
    assert bool(outcome.certified(tolerance))
    plain = solve(retailer, supplier, tolerance, method)
    assert float(outcome.cost) == pytest.approx(float(plain.cost), abs=1e-12)
    expected = "respond" if method == "newton" else "best_response"
    other = "best_response" if method == "newton" else "respond"
    for asked in (asked_retailer, asked_supplier):
        assert expected in asked
        assert other not in asked
