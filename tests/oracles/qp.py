"""A convex quadratic program by a dense interior point, for proximal answers in tests."""

from __future__ import annotations

import numpy as np

from tests.oracles.problem import Floats

MAX_STEPS = 100
EXACT = 1e-13


def solve(H: Floats, g: Floats, A: Floats, b: Floats) -> Floats:
    """`x >= 0` that minimizes `1/2 x @ H @ x + g @ x` under `A @ x = b`; costs and units of order 1.

    Raises RuntimeError where it does not get there: the oracle must not guess.
    """
    rows, count = A.shape
    x, s, y = np.ones(count), np.ones(count), np.zeros(rows)
    for _ in range(MAX_STEPS):
        dual, primal, mu = H @ x + g - A.T @ y - s, A @ x - b, x @ s / count
        if mu < EXACT and np.abs(primal).max() < 1e-9 and np.abs(dual).max() < 1e-9:
            return x
        matrix = np.block([[H + np.diag(s / x), -A.T], [A, 1e-13 * np.eye(rows)]])
        step = None
        target = -x * s
        for _ in range(2):
            right = np.concatenate([target / x - dual, -primal])
            both = np.linalg.solve(matrix, right)
            dx, dy = both[:count], both[count:]
            ds = (target - s * dx) / x
            far = min(1.0, 0.99 * min(_length(x, dx), _length(s, ds)))
            if step is None:
                after = (x + far * dx) @ (s + far * ds) / count
                target = (after / mu) ** 3 * mu - x * s - dx * ds
                step = far
        x, s, y = x + far * dx, s + far * ds, y + far * dy
    raise RuntimeError(f"the quadratic program did not end: {mu:.1e}, {np.abs(primal).max():.1e}")


def _length(at: Floats, step: Floats) -> float:
    down = step < 0.0
    return float(np.min(-at[down] / step[down], initial=np.inf))
