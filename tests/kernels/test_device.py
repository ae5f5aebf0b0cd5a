"""The CUDA kernels on a CUDA device, against the kernel on the CPU."""

from __future__ import annotations

import jax
import jaxcpp_kernels as native
import numpy as np
import pytest

from tests.kernels.instances import BY_A_PATH, SHAPES, TOLERANCE, alike, contracts, same_worth
from tests.kernels.questions import ours, questions

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "gpu" or not native.available("cuda"),
    reason=native.why_not("cuda") or f"the CUDA kernels need a GPU, and this is {jax.default_backend()}",
)

LARGER = {
    "two nodes a thread": {"places": 40, "columns": 60, "sources": 8},
    "four nodes a thread": {"places": 100, "columns": 90, "sources": 20},
    "eight nodes a thread": {"places": 40, "weeks": 6, "columns": 120, "sources": 24},
    "more nodes than registers hold": {"places": 300, "columns": 80, "sources": 20},
    "more nodes than shared memory holds": {"places": 500, "columns": 60, "sources": 20},
}

ALONE = [name for name, shape in LARGER.items() if "weeks" not in shape]


def search(sides, start, device, **settings):
    """The path on one device."""
    with jax.default_device(device):
        call = native.solve_path if len(sides) == 2 else native.solve_living
        found = call(*sides, *start, epsilon=0.05, tolerance=TOLERANCE, strict=BY_A_PATH, **settings)
        return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("name", [*SHAPES, *LARGER])
def test_agrees_with_the_cpu_kernel(name):
    ours, theirs, start = contracts(**{**SHAPES, **LARGER}[name])
    found = [search((ours, theirs), (start,), jax.devices(kind)[0]) for kind in ("gpu", "cpu")]
    alike(found[0], found[1], (ours, theirs))


@pytest.mark.parametrize("name", [*SHAPES, *LARGER])
def test_flows_agree_with_the_cpu_kernel(name):
    """Joined over the public nodes where that is smaller; settled on the device either way."""
    ours, theirs, start = contracts(**{**SHAPES, **LARGER}[name])
    mine, reference = (
        search((ours, theirs), (start,), jax.devices(kind)[0], flows=True) for kind in ("gpu", "cpu")
    )
    alike(mine, reference, (ours, theirs))
    same_worth(mine.flows, reference.flows, (ours, theirs), mine.done)


@pytest.mark.parametrize("name", ["small", "weeks", "holes", "stock", "four nodes a thread"])
def test_living_agrees_with_the_cpu_kernel(name):
    side, _, start = contracts(**{**SHAPES, **LARGER}[name])
    plan = np.random.default_rng(5).dirichlet(np.full(start.shape[1], 2.0), len(start))
    found = [search((side,), (plan, start), jax.devices(kind)[0], flows=True) for kind in ("gpu", "cpu")]
    ended = found[1].done
    both = [jax.tree.map(lambda leaf: leaf[ended], each) for each in found]
    picked = native.Side(*(np.broadcast_to(leaf, (len(start), *np.shape(leaf)[1:]))[ended] for leaf in side))
    alike(both[0], both[1], (picked,), plan[ended])
    units = [each.flows.taken.sum(axis=2) for each in both]
    np.testing.assert_allclose(units[0], units[1], atol=1e-9)


def answer(side, question, device, **settings):
    """What a side answers on one device."""
    with jax.default_device(device):
        return jax.tree.map(np.asarray, ours(side, *question, **settings))


@pytest.mark.parametrize(
    "name",
    ["small", "one node", "ties", "holes", "no mass", "stock", "many nodes", *ALONE],
)
def test_answers_agree_with_the_cpu_kernel(name):
    side, _, start = contracts(**{**SHAPES, **LARGER}[name])
    question = questions(len(start), start.shape[1], seed=3)
    found, reference = (
        answer(side, question, jax.devices(kind)[0], max_rounds=120) for kind in ("gpu", "cpu")
    )
    np.testing.assert_allclose(found.plan, reference.plan, atol=1e-8)
    np.testing.assert_allclose(found.behind, reference.behind, atol=1e-5)
    assert np.all(found.rounds <= 2 * reference.rounds + 3)


def test_a_question_nobody_can_answer_stays_in_its_lane():
    side, _, start = contracts(**SHAPES["stock"])
    price, *rest = questions(len(start), start.shape[1], seed=3)
    sound = answer(side, (price, *rest), jax.devices("gpu")[0])
    spoiled = price.copy()
    spoiled[1] = np.nan
    found = answer(side, (spoiled, *rest), jax.devices("gpu")[0])
    assert np.all(np.isnan(found.plan[1]))
    for one, other in zip(found, sound, strict=True):
        np.testing.assert_array_equal(np.delete(one, 1, axis=0), np.delete(other, 1, axis=0))


def test_the_same_bits_alone_and_in_a_batch():
    ours, theirs, start = contracts(**SHAPES["everything"], lanes=40)
    device = jax.devices("gpu")[0]
    whole = search((ours, theirs), (start,), device, flows=True)
    pick = lambda tree: jax.tree.map(lambda leaf: leaf[7:8] if np.ndim(leaf) else leaf, tree)  # noqa: E731
    alone = search(pick((ours, theirs)), (start[7:8],), device, flows=True)
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one[0], other[7])
