"""Small convex quadratic programs over a simplex, many at once: a primal-dual interior point.

    minimize  1/2 w @ Q @ w + q @ w   subject to   w >= 0,  e @ w = 1

with `e` of ones and zeros. Mehrotra's predictor and corrector; Nocedal and Wright, Numerical Optimization
(2006), section 16.6. NumPy, since it serves agents that answer on the host.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MAX_STEPS = 60
COMPLEMENT = 1e-13
"""Products of weights and multipliers, over the largest number in `q`, at which a solution is exact."""
RIDGE = 1e-13
"""Keeps the direction defined where a weight has no curvature and no multiplier left."""
SHY = 0.995
"""Of the step that would reach the boundary."""


def solve(
    Q: Float[np.ndarray, "c k k"], q: Float[np.ndarray, "c k"], e: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "c k"]:
    """The weights `w` of each of `c` programs.

    `Q` must be positive semidefinite, and `e` hold at least one 1. Weights may be rows of equal use: then
    any of the best is returned.
    """
    size = 1.0 + np.max(np.abs(q), axis=1)
    Q, q = Q / size[:, None, None], q / size[:, None]
    count = q.shape[1]
    w = np.where(e > 0.0, 1.0 / np.sum(e), 1.0 / count) * np.ones_like(q)
    gradient = np.einsum("ckl,cl->ck", Q, w) + q
    level = np.min(np.where(e > 0.0, gradient, np.inf), axis=1)
    s = np.maximum(gradient - level[:, None] * e, 0.0) + 0.1
    right = np.broadcast_to(e, q.shape)
    ridge = RIDGE * (1.0 + np.max(np.diagonal(Q, axis1=1, axis2=2), axis=1, keepdims=True))
    for _ in range(MAX_STEPS):
        dual = np.einsum("ckl,cl->ck", Q, w) + q - s - level[:, None] * e
        primal = w @ e - 1.0
        mu = np.sum(w * s, axis=1) / count
        done = (mu <= COMPLEMENT) & (np.abs(primal) <= COMPLEMENT)
        if np.all(done):
            break
        matrix = Q + (s / w + ridge)[:, :, None] * np.eye(count)
        first = _step(matrix, right, w, s, dual, primal, -w * s)
        after = np.sum((w + _length(w, first[0])[:, None] * first[0])
                       * (s + _length(s, first[1])[:, None] * first[1]), axis=1) / count  # fmt: skip
        centre = (after / mu) ** 3 * mu
        target = centre[:, None] - w * s - first[0] * first[1]
        dw, ds, dlevel = _step(matrix, right, w, s, dual, primal, target)
        far = np.where(done, 0.0, SHY * np.minimum(_length(w, dw), _length(s, ds)))
        w, s, level = w + far[:, None] * dw, s + far[:, None] * ds, level + far * dlevel
    return w


def _step(
    matrix: Float[np.ndarray, "c k k"],
    right: Float[np.ndarray, "c k"],
    w: Float[np.ndarray, "c k"],
    s: Float[np.ndarray, "c k"],
    dual: Float[np.ndarray, "c k"],
    primal: Float[np.ndarray, " c"],
    target: Float[np.ndarray, "c k"],
) -> tuple[Float[np.ndarray, "c k"], Float[np.ndarray, "c k"], Float[np.ndarray, " c"]]:
    """Newton's direction: weights, their multipliers, and the multiplier of the sum."""
    both = np.linalg.solve(matrix, np.stack([target / w - dual, right], axis=2))
    plain, along = both[:, :, 0], both[:, :, 1]
    dlevel = (-primal - np.sum(right * plain, axis=1)) / np.sum(right * along, axis=1)
    dw = plain + along * dlevel[:, None]
    return dw, (target - s * dw) / w, dlevel


def _length(at: Float[np.ndarray, "c k"], step: Float[np.ndarray, "c k"]) -> Float[np.ndarray, " c"]:
    """How far a step may go until something is zero, at most 1."""
    ratio = np.where(step < 0.0, -at / np.where(step < 0.0, step, -1.0), np.inf)
    return np.minimum(1.0, np.min(ratio, axis=1))
