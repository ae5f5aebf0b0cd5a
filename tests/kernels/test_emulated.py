"""The CUDA kernels' core on the processor, one block at a time, against the CPU kernel.

Compiled with one thread to a block and with several, in warps, so that a missing synchronization shows;
test_sanitizers.py has them under the thread sanitizer.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jaxcpp_kernels as native
import numpy as np
import pytest
from jaxcpp_kernels import build, paths

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-6
BLOCKS = [(1, 1), (8, 4)]  # threads of a block, of its warps

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"places": 6, "columns": 9, "sources": 4},
    "one of each": {"places": 1, "columns": 1, "sources": 1},
    "one node": {"places": 1, "columns": 5, "sources": 3},
    "one source": {"places": 5, "columns": 6, "sources": 1},
    "weeks": {"places": 5, "weeks": 3, "columns": 12, "sources": 6},
    "ties": {"places": 6, "columns": 8, "sources": 4, "ties": True},
    "holes": {"places": 6, "columns": 8, "sources": 4, "holes": 0.3},
    "no mass": {"places": 6, "columns": 9, "sources": 4, "empty": 0.4},
    "closed nodes": {"places": 6, "columns": 9, "sources": 4, "closed": 0.4},
    "stock": {"places": 6, "columns": 9, "sources": 4, "stocked": True},
    "lost sales": {"places": 6, "columns": 9, "sources": 4, "never": 2.0},
    "tight": {"places": 6, "columns": 9, "sources": 4, "slack": 1.0},
    "everything": {
        "places": 6,
        "weeks": 2,
        "columns": 10,
        "sources": 4,
        "holes": 0.2,
        "empty": 0.2,
        "closed": 0.2,
        "stocked": True,
        "never": 3.0,
    },
    "more than a chunk of columns": {"places": 7, "columns": 70, "sources": 5},
    "many nodes": {"places": 37, "columns": 30, "sources": 6},
}


@pytest.fixture(scope="module", params=BLOCKS, ids=lambda block: f"{block[0]} threads, warps of {block[1]}")
def emulated(request, tmp_path_factory):
    """The name under which XLA knows the emulated core."""
    library = compiled(tmp_path_factory.mktemp("emulated"), *request.param)
    name = f"jaxcpp_follow_emulated_{request.param[0]}"
    door = jax.ffi.pycapsule(ctypes.CDLL(str(library)).jaxcpp_follow)
    jax.ffi.register_ffi_target(name, door, platform="cpu")
    return name


def compiled(folder: Path, threads: int, lanes: int) -> Path:
    """A library like the CPU's with the CUDA kernels' core behind its door."""
    try:
        command, include = build.compiler(), build.headers()
    except build.BuildError as error:
        pytest.skip(str(error))
    library = folder / "emulated.so"
    flags = [f"-DJAXCPP_BLOCK_THREADS={threads}", f"-DJAXCPP_BLOCK_LANES={lanes}"]
    flags += [
        f'-DJAXCPP_FINGERPRINT="{build.fingerprint()}"',
        "-isystem",
        str(include),
        "-I",
        str(build.SOURCES),
    ]
    sources = [str(build.SOURCES / "ffi.cpp"), str(HERE / "emulated.cpp")]
    options = ["-std=c++17", "-O1", "-fPIC", "-shared", "-pthread", *flags]
    subprocess.run([*command, *options, *sources, "-o", str(library)], check=True, timeout=500)
    return library


def contracts(
    places, columns, sources, weeks=1, ties=False, holes=0.0, empty=0.0, closed=0.0, stocked=False,
    never=30.0, slack=1.5, lanes=4,
):  # fmt: skip
    """Random contracts, and where to start."""
    rng = np.random.default_rng(places + 100 * columns)
    nodes = places * weeks

    def side(count, low, high, total):
        cost = rng.uniform(low, high, (lanes, places, count))
        cost = np.round(4.0 * cost) / 4.0 if ties else cost
        cost = np.where(rng.random(cost.shape) < holes, np.inf, cost)
        mass = total * rng.dirichlet(np.full(count, 2.0), lanes)
        mass = np.where(rng.random(mass.shape) < empty, 0.0, mass)
        is_open = rng.random((lanes, nodes)) >= closed
        return cost, mass, is_open, rng.uniform(0.0, 0.3, (lanes, weeks, count))

    cost, mass, is_open, time = side(columns, 0.3, 2.0, 1.0)
    stock = rng.uniform(0.0, 0.1, (lanes, nodes)) * stocked
    margin = rng.uniform(0.0, 0.5, (lanes, columns))
    ours = native.Side(
        cost, mass, np.full((lanes, columns), never), stock, margin, 0.2, time=time, open=is_open
    )
    cost, mass, is_open, time = side(sources, -1.0, 0.5, slack)
    none = np.zeros((lanes, nodes))
    theirs = native.Side(cost, mass, np.zeros((lanes, sources)), none, time=time, open=is_open)
    return ours, theirs, rng.uniform(-0.2, 0.2, (lanes, nodes))


def dual(sides, price, lane):
    """What a price proves: no plan is cheaper."""
    total = 0.0
    for side, sign in zip(sides, (1.0, -1.0), strict=False):
        paid = sign * price[lane]
        cost = (np.asarray(side.cost)[lane][:, None] + np.asarray(side.time)[lane][None]).reshape(
            len(paid), -1
        )
        cost = np.where(np.asarray(side.open)[lane][:, None], cost, np.inf)
        best = np.minimum(np.min(cost + paid[:, None], axis=0), side.outside[lane])
        total += best @ side.mass[lane] - side.stock[lane] @ np.maximum(paid, 0.0)
    return total


def alike(mine, reference, sides, plan=None):
    """As good as the CPU kernel's, contract by contract; the scale of costs and mass is 1."""
    lanes = len(reference.price)
    for lane in range(lanes):
        bounds = [dual(sides, found.price, lane) for found in (mine, reference)]
        if plan is not None:
            bounds = [
                bound - found.price[lane] @ plan[lane]
                for bound, found in zip(bounds, (mine, reference), strict=True)
            ]
        assert abs(bounds[0] - bounds[1]) <= 3.0 * TOLERANCE, (lane, bounds)
    np.testing.assert_array_equal(mine.done, reference.done)
    assert np.all(np.abs(mine.rounds - reference.rounds) <= 12 + reference.rounds // 2)


@pytest.mark.parametrize("name", SHAPES)
def test_agrees_with_the_cpu_kernel(name, emulated, monkeypatch):
    ours, theirs, start = contracts(**SHAPES[name])

    def search():
        found = native.solve_path(ours, theirs, start, epsilon=0.05, tolerance=TOLERANCE)
        return jax.tree.map(np.asarray, found)

    reference = search()
    monkeypatch.setattr(paths, "TARGET", emulated)
    alike(search(), reference, (ours, theirs))


@pytest.mark.parametrize("name", ["small", "weeks", "holes", "stock", "closed nodes", "many nodes"])
def test_living_agrees_with_the_cpu_kernel(name, emulated, monkeypatch):
    side, _, start = contracts(**SHAPES[name])
    plan = np.random.default_rng(5).dirichlet(np.full(start.shape[1], 2.0), len(start))

    def search():
        found = native.solve_living(side, plan, start, epsilon=0.05, tolerance=TOLERANCE)
        return jax.tree.map(np.asarray, found)

    reference = search()
    monkeypatch.setattr(paths, "TARGET", emulated)
    mine = search()
    np.testing.assert_allclose(mine.gap[~reference.done], reference.gap[~reference.done], rtol=0.5)
    ended = reference.done
    both = [jax.tree.map(lambda leaf: leaf[ended], found) for found in (mine, reference)]
    picked = native.Side(*(np.broadcast_to(leaf, (len(start), *np.shape(leaf)[1:]))[ended] for leaf in side))
    alike(both[0], both[1], (picked,), plan[ended])


def test_no_rounds_and_unsound_input_come_back_as_they_were(emulated, monkeypatch):
    ours, theirs, start = contracts(**SHAPES["small"])
    monkeypatch.setattr(paths, "TARGET", emulated)
    spoiled = np.array(ours.mass)
    spoiled[1, 2] = np.nan
    limit = np.array([0, 200, 200, 3], np.int32)
    found = native.solve_path(
        ours._replace(mass=spoiled), theirs, start, epsilon=0.05, tolerance=TOLERANCE, max_rounds=limit
    )
    np.testing.assert_array_equal(found.rounds[:2], 0)
    np.testing.assert_array_equal(np.asarray(found.price)[:2], start[:2])
    np.testing.assert_array_equal(found.done, [False, False, True, False])
    assert found.rounds[3] == 3


def test_a_contract_twice_in_a_batch(emulated, monkeypatch):
    """The same bits: what the others are does not matter."""
    ours, theirs, start = contracts(**SHAPES["everything"])
    monkeypatch.setattr(paths, "TARGET", emulated)
    twice = jax.tree.map(
        lambda leaf: np.concatenate([leaf, leaf]) if np.ndim(leaf) else leaf, (ours, theirs, start)
    )
    found = native.solve_path(*twice, epsilon=0.05, tolerance=TOLERANCE)
    for leaf in found:
        np.testing.assert_array_equal(np.asarray(leaf)[: len(start)], np.asarray(leaf)[len(start) :])


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_cpu_kernels_own_tests(tmp_path):
    """All of them, with the emulated core behind the door."""
    library = compiled(tmp_path, 1, 1)
    tests = [str(HERE / f"test_{name}.py") for name in ("paths", "sides", "garbage", "batches")]
    # What space plus time sums to is rounded elsewhere than in one matrix.
    command = [sys.executable, "-m", "pytest", "-q", *tests, "-k", "not space_plus_time"]
    environment = {**os.environ, "JAXCPP_TEST_KERNELS": str(library)}
    done = subprocess.run(
        command,
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1400,
    )
    assert done.returncode == 0, done.stdout[-6000:]
