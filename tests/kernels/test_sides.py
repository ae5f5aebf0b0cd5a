"""One side at a fixed plan, and costs given as space plus time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest

from jaxcpp.transport import living, path
from tests.kernels.contracts import FIRST_EPSILON, batch, opening, side, sides, solve
from tests.oracles import lp
from tests.strategies import Options

TIGHT = 1e-8


@jax.jit
@jax.vmap
def bracket(agent, plan):
    """What living with the plan costs, by a native price."""
    closed = living.closed_where_idle(agent.side, plan)
    begun = living.begin(closed, plan)
    found = native.solve_living(
        native.Side(closed.cost, closed.mass, closed.outside, closed.stock), plan, begun.price,
        epsilon=FIRST_EPSILON, tolerance=TIGHT,
    )  # fmt: skip
    ended = path.start(found.price)._replace_epsilon(found.epsilon)
    return living.conclude(closed, plan, ended), found


def test_placeholder():
    assert lp and batch and opening and side and sides and solve and jnp and np and pytest and Options
