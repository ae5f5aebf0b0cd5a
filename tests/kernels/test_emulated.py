"""The CUDA kernels' core on the processor, one block at a time, against the CPU kernel.

Compiled with one thread to a block and with several, in warps, so that a missing synchronization shows;
test_sanitizers.py has them under the thread sanitizer.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jaxcpp_kernels as native
import numpy as np
import pytest
from jaxcpp_kernels import answers, build, paths

from tests.kernels.instances import BY_A_PATH, SHAPES, TOLERANCE, alike, contracts, same_worth
from tests.kernels.questions import ours, questions, twin
from tests.transport.sides import random_side, stacked

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
BLOCKS = [(1, 1), (32, 16)]  # threads of a block, of its warps: wide ones look at several columns at once


@functools.cache
def doors(folder: Path, threads: int, lanes: int) -> list[str]:
    """The names under which XLA knows an emulated core; it takes a name once a process."""
    names = [f"jaxcpp_{call}_emulated_{threads}" for call in ("follow", "respond")]
    library = ctypes.CDLL(str(compiled(folder / f"emulated-{threads}", threads, lanes)))
    for name, symbol in zip(names, (library.jaxcpp_follow, library.jaxcpp_respond), strict=True):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(symbol), platform="cpu")
    return names


@pytest.fixture(scope="module", params=BLOCKS, ids=lambda block: f"{block[0]} threads, warps of {block[1]}")
def known(request, tmp_path_factory):
    """Names under which XLA knows the emulated core: what follows paths, and what answers questions."""
    return doors(tmp_path_factory.getbasetemp(), *request.param)


@pytest.fixture
def emulate(known, monkeypatch):
    """Called, puts the emulated core behind the kernels' functions."""

    def put() -> None:
        monkeypatch.setattr(paths, "TARGET", known[0])
        monkeypatch.setattr(answers, "RESPOND", known[1])

    return put


def compiled(folder: Path, threads: int, lanes: int) -> Path:
    """A library like the CPU's with the CUDA kernels' core behind its door."""
    try:
        command, include = build.compiler(), build.headers()
    except build.BuildError as error:
        pytest.skip(str(error))
    folder.mkdir(exist_ok=True)
    library = folder / "emulated.so"
    flags = [f"-DJAXCPP_BLOCK_THREADS={threads}", f"-DJAXCPP_BLOCK_LANES={lanes}"]
    flags += [
        f'-DJAXCPP_FINGERPRINT="{build.fingerprint()}"',
        "-isystem",
        str(include),
        "-I",
        str(build.SOURCES),
    ]
    sources = [
        str(build.SOURCES / "ffi.cpp"),
        str(build.SOURCES / "answers_ffi.cpp"),
        str(HERE / "emulated.cpp"),
    ]
    options = ["-std=c++17", "-O1", "-fPIC", "-shared", "-pthread", *flags]
    subprocess.run([*command, *options, *sources, "-o", str(library)], check=True, timeout=500)
    return library


def path(sides, start, flows=False):
    ours, theirs = sides
    found = native.solve_path(
        ours, theirs, start, epsilon=0.05, tolerance=TOLERANCE, strict=BY_A_PATH, flows=flows
    )
    return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("name", SHAPES)
def test_agrees_with_the_cpu_kernel(name, emulate):
    ours, theirs, start = contracts(**SHAPES[name])
    reference = path((ours, theirs), start)
    emulate()
    alike(path((ours, theirs), start), reference, (ours, theirs))


@pytest.mark.parametrize("name", SHAPES)
def test_flows_agree_with_the_cpu_kernel(name, emulate):
    """Joined over the public nodes where that is smaller, as there; and so where retailers hold stock."""
    ours, theirs, start = contracts(**SHAPES[name])
    reference = path((ours, theirs), start, flows=True)
    emulate()
    found = path((ours, theirs), start, flows=True)
    alike(found, reference, (ours, theirs))
    same_worth(found.flows, reference.flows, (ours, theirs), found.done)


def test_a_plan_is_settled_as_the_cpu_kernel_does(emulate):
    """At any price: closed nodes, stock, holes, private nodes without mass, plans too large and too small."""
    side = stacked([random_side(lane, stock=lane % 2 == 0) for lane in range(24)])
    count, nodes = side.cost.shape[:2]
    rng = np.random.default_rng(7)
    price = rng.uniform(-1.0, 1.0, (count, nodes))
    plan = np.linspace(0.5, 3.0, count)[:, None] * rng.uniform(0.0, 1.0, (count, nodes)) / nodes
    epsilon = np.geomspace(0.3, 1e-5, count)

    def settled():
        one = native.Side(side.cost, side.mass, side.outside, side.stock)
        found = native.solve_living(
            one, plan, price, epsilon=epsilon, tolerance=TOLERANCE, max_rounds=0, flows=True
        )
        assert found.flows is not None
        return found.flows.taken

    reference = settled()
    emulate()
    np.testing.assert_allclose(settled(), reference, atol=1e-12)


@pytest.mark.parametrize("name", ["small", "weeks", "holes", "stock", "closed nodes", "many nodes"])
def test_living_agrees_with_the_cpu_kernel(name, emulate):
    side, _, start = contracts(**SHAPES[name])
    plan = np.random.default_rng(5).dirichlet(np.full(start.shape[1], 2.0), len(start))

    def search():
        found = native.solve_living(
            side, plan, start, epsilon=0.05, tolerance=TOLERANCE, strict=BY_A_PATH, flows=True
        )
        return jax.tree.map(np.asarray, found)

    reference = search()
    emulate()
    mine = search()
    np.testing.assert_allclose(mine.gap[~reference.done], reference.gap[~reference.done], rtol=0.5)
    ended = reference.done
    both = [jax.tree.map(lambda leaf: leaf[ended], found) for found in (mine, reference)]
    picked = native.Side(*(np.broadcast_to(leaf, (len(start), *np.shape(leaf)[1:]))[ended] for leaf in side))
    alike(both[0], both[1], (picked,), plan[ended])
    units = [found.flows.taken.sum(axis=2) for found in both]
    np.testing.assert_allclose(units[0], units[1], atol=1e-9)


def test_no_rounds_and_unsound_input_come_back_as_they_were(emulate):
    ours, theirs, start = contracts(**SHAPES["small"])
    emulate()
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


def test_a_contract_twice_in_a_batch(emulate):
    """The same bits: what the others are does not matter."""
    ours, theirs, start = contracts(**SHAPES["everything"])
    emulate()
    twice = jax.tree.map(
        lambda leaf: np.concatenate([leaf, leaf]) if np.ndim(leaf) else leaf, (ours, theirs, start)
    )
    found = native.solve_path(*twice, epsilon=0.05, tolerance=TOLERANCE, flows=True)
    for leaf in jax.tree.leaves(found):
        np.testing.assert_array_equal(np.asarray(leaf)[: len(start)], np.asarray(leaf)[len(start) :])


def asked(name):
    """A batch of sides, and questions to them."""
    side, _, start = contracts(**SHAPES[name])
    return side, questions(len(start), start.shape[1], seed=3)


@pytest.mark.parametrize(
    "name", ["small", "one node", "ties", "holes", "no mass", "stock", "lost sales", "many nodes"]
)
def test_answers_agree_with_the_cpu_kernel(name, emulate):
    side, question = asked(name)
    reference = jax.tree.map(np.asarray, ours(side, *question, max_rounds=120))
    emulate()
    found = jax.tree.map(np.asarray, ours(side, *question, max_rounds=120))
    np.testing.assert_allclose(found.plan, reference.plan, atol=1e-8)
    # Where a plan is held at nothing by stock, the price behind it hardly matters, and is known less well.
    np.testing.assert_allclose(found.behind, reference.behind, atol=1e-5)
    assert np.all(found.rounds <= 2 * reference.rounds + 3)


def test_answers_agree_with_the_twin(emulate):
    """Closed nodes, stock, holes and private nodes without mass."""
    sides = stacked([random_side(seed) for seed in range(12)])
    question = questions(len(sides.cost), sides.cost.shape[1])
    emulate()
    found = ours(sides, *question, max_rounds=120)
    plan, price = twin(sides, *question)
    np.testing.assert_allclose(found.plan, plan, atol=1e-8)
    np.testing.assert_allclose(found.behind, price, atol=1e-6)


def test_questions_nobody_can_answer_stay_in_their_lane(emulate):
    side, (price, proposal, rho, epsilon, start) = asked("small")
    emulate()
    sound = ours(side, price, proposal, rho, epsilon, start)
    for spoiled in ("mass", "price", "rho"):
        mass, prices, weights = np.array(side.mass), price.copy(), rho.copy()
        {"mass": mass, "price": prices, "rho": weights}[spoiled][1] = np.nan
        found = ours(side._replace(mass=mass), prices, proposal, weights, epsilon, start)
        assert np.all(np.isnan(np.asarray(found.plan)[1]))
        assert int(found.rounds[1]) == 0
        np.testing.assert_array_equal(np.asarray(found.behind)[1], start[1])
        for one, other in zip(found, sound, strict=True):
            np.testing.assert_array_equal(np.delete(one, 1, axis=0), np.delete(other, 1, axis=0))


def test_answers_out_of_rounds_are_plans_all_the_same(emulate):
    side, (price, proposal, rho, epsilon, start) = asked("small")
    limit = np.array([-1, 0, 1, 2], np.int32)
    reference = ours(side, price, proposal, rho, epsilon, start, 0.0, max_rounds=limit)
    emulate()
    found = ours(side, price, proposal, rho, epsilon, start, 0.0, max_rounds=limit)
    np.testing.assert_array_equal(found.rounds, [0, 0, 1, 2])
    np.testing.assert_allclose(found.plan, reference.plan, atol=1e-6)
    np.testing.assert_allclose(found.behind, reference.behind, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.timeout(1500)
def test_the_cpu_kernels_own_tests(tmp_path):
    """All of them, with the emulated core behind the door."""
    library = compiled(tmp_path, 1, 1)
    tests = [
        str(HERE / f"test_{name}.py") for name in ("paths", "sides", "flows", "answers", "garbage", "batches")
    ]
    # What space plus time sums to is rounded elsewhere than in one matrix, and a fresh process has the
    # CPU's library.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *tests,
        "-k",
        "not space_plus_time and not fresh_process",
    ]
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
