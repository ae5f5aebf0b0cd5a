"""Whatever is asked, the kernels come back: not done, or with finite numbers, or with a worded refusal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest

GARBAGE = [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-310, 1e300, -1e300]
FIELDS = ["cost", "mass", "outside", "stock", "lost_margin", "unit_margin"]


def contract(rng, nodes, regions, sources, lanes=1):
    """A sound random contract as arrays, and where to start."""
    ours = native.Side(
        rng.uniform(0.3, 2.0, (lanes, nodes, regions)), rng.dirichlet(np.ones(regions), lanes),
        np.full((lanes, regions), 30.0), np.zeros((lanes, nodes)), np.zeros((lanes, regions)),
        np.zeros(lanes),
    )  # fmt: skip
    theirs = native.Side(
        rng.uniform(-1.0, 0.5, (lanes, nodes, sources)), rng.dirichlet(np.ones(sources), lanes) * 1.5,
        np.zeros((lanes, sources)), np.zeros((lanes, nodes)), np.zeros((lanes, sources)), np.ones(lanes),
    )  # fmt: skip
    return ours, theirs, rng.uniform(-0.5, 0.5, (lanes, nodes))


def arrays(side):
    return jax.tree.map(jnp.asarray, side)


def run(ours, theirs, start, **settings):
    settings = {"epsilon": 0.05, "tolerance": 1e-6, **settings}
    return native.solve_path(arrays(ours), arrays(theirs), jnp.asarray(start), **settings)


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", GARBAGE)
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_garbage_in_one_array(who, field, value, share):
    rng = np.random.default_rng(7)
    ours, theirs, start = contract(rng, 5, 6, 3, lanes=2)
    sound = run(ours, theirs, start)
    spoiled = np.array(getattr((ours, theirs)[who], field))
    spoiled[0] = np.where(rng.random(spoiled[0].shape) < share, value, spoiled[0])
    if who == 0:
        ours = ours._replace(**{field: spoiled})
    else:
        theirs = theirs._replace(**{field: spoiled})
    found = run(ours, theirs, start)
    assert np.all(np.isfinite(np.asarray(found.price)))
    assert np.all(np.asarray(found.rounds) <= 200)
    # The other lane knows nothing of it.
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(sound), strict=True):
        np.testing.assert_array_equal(np.asarray(one)[1], np.asarray(other)[1])


@pytest.mark.parametrize("value", GARBAGE)
@pytest.mark.parametrize("setting", ["epsilon", "tolerance", "strict", "start"])
def test_garbage_in_a_setting(setting, value):
    ours, theirs, start = contract(np.random.default_rng(3), 5, 6, 3)
    settings = {}
    if setting == "start":
        start = np.full_like(start, value)
    else:
        settings[setting] = value
    found = run(ours, theirs, start, max_rounds=60, **settings)
    assert int(found.rounds[0]) <= 60
    if np.isnan(value) or (setting == "epsilon" and not value > 0.0):
        assert not bool(found.done[0])
        np.testing.assert_array_equal(np.asarray(found.price), start)


@pytest.mark.parametrize("limit", [-5, 0, 1, 2, 3, 7])
def test_rounds_are_bounded(limit):
    ours, theirs, start = contract(np.random.default_rng(3), 5, 6, 3)
    found = run(ours, theirs, start, max_rounds=limit, tolerance=1e-15)
    assert int(found.rounds[0]) == max(limit, 0)
    assert not bool(found.done[0])


@pytest.mark.parametrize(
    ("nodes", "regions", "sources"), [(0, 3, 2), (3, 0, 2), (3, 3, 0), (0, 0, 0), (1, 1, 1)]
)
def test_smallest_shapes(nodes, regions, sources):
    rng = np.random.default_rng(0)
    ours = native.Side(
        rng.uniform(0.3, 2.0, (nodes, regions)), np.ones(regions), np.full(regions, 9.0), np.zeros(nodes)
    )
    theirs = native.Side(
        rng.uniform(0.3, 2.0, (nodes, sources)), np.full(sources, 2.0), np.zeros(sources), np.zeros(nodes)
    )
    found = run(ours, theirs, np.zeros(nodes))
    assert found.price.shape == (nodes,)
    assert np.all(np.isfinite(np.asarray(found.price)))


def test_an_empty_batch():
    ours, theirs, start = contract(np.random.default_rng(0), 3, 4, 2)
    ours, theirs = jax.tree.map(lambda leaf: leaf[:0], (ours, theirs))
    assert run(ours, theirs, start[:0]).price.shape == (0, 3)


def test_no_lanes_at_all():
    ours, theirs, start = contract(np.random.default_rng(0), 3, 4, 2)
    found = run(
        ours._replace(cost=np.full((1, 3, 4), np.inf)),
        theirs._replace(cost=np.full((1, 3, 2), np.inf)),
        start,
    )
    assert bool(found.done[0])
    np.testing.assert_array_equal(np.asarray(found.price), start)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mass": np.ones(5)}, "cost"),
        ({"outside": np.ones(5)}, "outside must end in"),
        ({"stock": np.ones(7)}, "stock must end in"),
        ({"cost": np.ones((4, 6))}, "public nodes"),
        ({"cost": np.ones(6)}, "public nodes"),
        ({"time": np.ones((2, 6))}, "public nodes"),
        ({"time": np.ones(6)}, "public nodes"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, complaint):
    ours, theirs, start = contract(np.random.default_rng(0), 5, 6, 3)
    ours, theirs = (native.Side(*(np.asarray(leaf)[0] for leaf in side[:6])) for side in (ours, theirs))
    with pytest.raises(ValueError, match=complaint):
        run(ours._replace(**change), theirs, start[0])


def test_single_precision_is_refused():
    ours, theirs, start = contract(np.random.default_rng(0), 5, 6, 3)
    with pytest.raises(TypeError, match="float64"):
        run(ours._replace(cost=np.asarray(ours.cost, np.float32)), theirs, start)
