"""The same bits however a problem is called: alone or in a batch, in any order, on any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest

from tests.kernels.contracts import FIRST_EPSILON, batch, opening, sides
from tests.strategies import Options

search = partial(native.solve_path, epsilon=FIRST_EPSILON, tolerance=1e-6)
LANES = 12

FRESH = """
import sys
from pathlib import Path
import jax
jax.config.update("jax_enable_x64", True)
import numpy as np
import jaxcpp_kernels as native
folder = Path(sys.argv[1])
given = lambda name: np.load(folder / f"{name}.npy")
ours, theirs = (native.Side(*(given(f"{who}{i}") for i in range(6))) for who in ("ours", "theirs"))
found = native.solve_path(ours, theirs, given("start"), epsilon=0.05, tolerance=1e-6)
np.save(folder / "price.npy", np.asarray(found.price))
"""


@pytest.fixture(scope="module")
def both():
    return batch(Options(9, 12, 4, lost_sales=True, holes=True), lanes=LANES)


@pytest.fixture(scope="module")
def alone(both):
    """Every contract in a call of its own."""
    start = opening(both).price
    ours, theirs = sides(both)
    pick = lambda tree, lane: jax.tree.map(lambda leaf: leaf[lane], tree)  # noqa: E731
    each = [search(pick(ours, lane), pick(theirs, lane), start[lane]) for lane in range(LANES)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def same_bits(left: native.Path, right: native.Path) -> None:
    for name, one, other in zip(native.Path._fields, left, right, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=name)


def test_alone_all_end(alone):
    assert np.all(alone.done)
    assert np.all(alone.rounds > 5)


@pytest.mark.parametrize("threads", [0, 1, 2, 5, 40])
def test_any_number_of_threads(both, alone, threads):
    ours, theirs = sides(both)
    same_bits(search(ours, theirs, opening(both).price, threads=threads), alone)


def test_any_order(both, alone):
    order = np.random.default_rng(0).permutation(LANES)
    ours, theirs = jax.tree.map(lambda leaf: leaf[order], sides(both))
    found = search(ours, theirs, opening(both).price[order], threads=2)
    same_bits(found, jax.tree.map(lambda leaf: leaf[order], alone))


@pytest.mark.parametrize(
    "wrap", [jax.vmap, lambda call: jax.jit(jax.vmap(call))], ids=["vmap", "jit of vmap"]
)
def test_vmap_and_jit(both, alone, wrap):
    ours, theirs = sides(both)
    same_bits(wrap(search)(ours, theirs, opening(both).price), alone)


def test_vmap_of_vmap(both, alone):
    ours, theirs = jax.tree.map(lambda leaf: leaf.reshape(3, 4, *leaf.shape[1:]), sides(both))
    start = opening(both).price.reshape(3, 4, -1)
    found = jax.jit(jax.vmap(jax.vmap(search)))(ours, theirs, start)
    same_bits(jax.tree.map(lambda leaf: leaf.reshape(LANES, *leaf.shape[2:]), found), alone)


def test_one_side_shared_by_all_lanes(both):
    ours, theirs = sides(both)
    first = jax.tree.map(lambda leaf: leaf[0], theirs)
    start = opening(both).price
    shared = jax.vmap(search, in_axes=(0, None, 0))(ours, first, start)
    copied = jax.tree.map(lambda leaf: jnp.stack([leaf] * LANES), first)
    same_bits(shared, search(ours, copied, start))


def test_each_lane_its_own_settings(both, alone):
    ours, theirs = sides(both)
    tolerance = jnp.where(jnp.arange(LANES) % 2 == 0, 1e-6, 1e-3)
    limit = jnp.where(jnp.arange(LANES) % 3 == 0, 4, 200)
    found = native.solve_path(
        ours, theirs, opening(both).price, epsilon=FIRST_EPSILON, tolerance=tolerance, max_rounds=limit
    )
    rounds = np.asarray(found.rounds)
    assert np.all(rounds[::3] == 4)
    assert not np.any(np.asarray(found.done)[::3])
    same = [lane for lane in range(LANES) if lane % 2 == 0 and lane % 3]
    same_bits(
        jax.tree.map(lambda leaf: leaf[np.array(same)], found), jax.tree.map(lambda leaf: leaf[same], alone)
    )
    early = [lane for lane in range(LANES) if lane % 2 and lane % 3]
    assert np.all(rounds[early] < alone.rounds[early])


def test_no_rounds_leave_a_path_where_it_is(both):
    ours, theirs = sides(both)
    start = opening(both).price
    found = native.solve_path(ours, theirs, start, epsilon=0.01, tolerance=1e-6, max_rounds=0)
    np.testing.assert_array_equal(np.asarray(found.price), np.asarray(start))
    assert np.all(np.asarray(found.epsilon) == 0.01)
    assert not np.any(np.asarray(found.done))
    assert np.all(np.asarray(found.rounds) == 0)


def test_a_path_goes_on_where_it_stopped(both, alone):
    """Fewer rounds from the end of a looser path than from the start."""
    ours, theirs = sides(both)
    loose = native.solve_path(ours, theirs, opening(both).price, epsilon=FIRST_EPSILON, tolerance=1e-4)
    found = native.solve_path(ours, theirs, loose.price, epsilon=loose.epsilon, tolerance=1e-6)
    assert np.all(np.asarray(found.done))
    assert np.sum(np.asarray(found.rounds)) < 0.7 * np.sum(alone.rounds)


def test_a_fresh_process_on_one_thread(both, alone, tmp_path):
    ours, theirs = sides(both)
    for who, one in (("ours", ours), ("theirs", theirs)):
        for i, leaf in enumerate(one[:6]):
            np.save(tmp_path / f"{who}{i}.npy", np.asarray(leaf))
    np.save(tmp_path / "start.npy", np.asarray(opening(both).price))
    environment = os.environ | {"JAXCPP_KERNEL_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FRESH, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, timeout=300)
    np.testing.assert_array_equal(np.load(tmp_path / "price.npy"), alone.price)
