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
from jaxcpp_kernels import build, paths

from tests.kernels.instances import SHAPES, TOLERANCE, alike, contracts

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
BLOCKS = [(1, 1), (8, 4)]  # threads of a block, of its warps


@functools.cache
def door(folder: Path, threads: int, lanes: int) -> str:
    """The name under which XLA knows an emulated core; it takes a name once a process."""
    name = f"jaxcpp_follow_emulated_{threads}"
    library = ctypes.CDLL(str(compiled(folder / name, threads, lanes)))
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(library.jaxcpp_follow), platform="cpu")
    return name


@pytest.fixture(scope="module", params=BLOCKS, ids=lambda block: f"{block[0]} threads, warps of {block[1]}")
def emulated(request, tmp_path_factory):
    """The name under which XLA knows the emulated core."""
    return door(tmp_path_factory.getbasetemp(), *request.param)


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
    sources = [str(build.SOURCES / "ffi.cpp"), str(HERE / "emulated.cpp")]
    options = ["-std=c++17", "-O1", "-fPIC", "-shared", "-pthread", *flags]
    subprocess.run([*command, *options, *sources, "-o", str(library)], check=True, timeout=500)
    return library


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
    for leaf in jax.tree.leaves(found):
        np.testing.assert_array_equal(np.asarray(leaf)[: len(start)], np.asarray(leaf)[len(start) :])


@pytest.mark.exhaustive
@pytest.mark.timeout(1500)
def test_the_cpu_kernels_own_tests(tmp_path):
    """All of them, with the emulated core behind the door."""
    library = compiled(tmp_path, 1, 1)
    tests = [str(HERE / f"test_{name}.py") for name in ("paths", "sides", "garbage", "batches")]
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
