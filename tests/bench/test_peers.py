"""Every peer that is installed answers the same contracts, in a process of its own."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from bench.cases import Case, generate
from bench.network import costs, network
from bench.peers.registry import PEERS, Peer, ask

pytestmark = pytest.mark.slow

SMALL = Case(inbound=3, regions=4, sources=2, weeks=2)
ACCURACY = {"mpax": 1e-3, "ott-admm": 1e-3}


@pytest.fixture(scope="module")
def instances(tmp_path_factory):
    found = generate(SMALL, 3)
    path = tmp_path_factory.mktemp("bench") / "instances.npz"
    found.save(path)
    return found, path


@pytest.fixture(scope="module")
def exact(instances):
    from scipy.optimize import linprog

    from bench.network import limits, rows

    out, net = rows(network(SMALL))
    most, exactly = limits(instances[0])
    return [
        linprog(costs(instances[0], index), A_ub=out, b_ub=most[index], A_eq=net, b_eq=exactly[index]).fun
        for index in range(3)
    ]


def needs(peer: Peer) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(peer.needs) is None, reason=f"{peer.needs} is not there"
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[needs(peer), *([pytest.mark.slow] if name in ("mpax", "ott-admm") else [])],
        )
        for name, peer in PEERS.items()
        if peer.needs != "jax"  # jaxcpp itself, tested elsewhere
    ],
)
def test_a_peer_finds_the_least_costs(name, instances, exact):
    accuracy = ACCURACY.get(name, 1e-6)
    found = ask(PEERS[name], instances[1], accuracy, repeats=1, contracts=2)
    room = accuracy if PEERS[name].exact else 10.0 * accuracy  # its residuals are not sums over a contract
    assert found.costs == pytest.approx(exact[:2], rel=room)
    assert max(found.unbalanced, default=0.0) <= room
    assert len(found.build) == len(found.solve) == 1
    assert found.megabytes > 0.0
    assert all(gap <= accuracy for gap in found.certified)


def test_the_scaling_step_inverts_what_it_should():
    import jax.numpy as jnp

    from bench.peers.wright import log_omega

    x = np.concatenate([[-700.0, -30.0, 0.9999, 1.0, 1.0001, 700.0], np.linspace(-8.0, 8.0, 33)])
    y = np.asarray(log_omega(jnp.asarray(x)))
    np.testing.assert_allclose(np.exp(y) + y, x, rtol=1e-12, atol=1e-12)
