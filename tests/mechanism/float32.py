"""Contracts in JAX's default precision, as JSON: run by `test_float32` in a process of its own."""

from __future__ import annotations

import json
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np

from tests.mechanism.batches import padded, problems_of, solve
from tests.oracles import Problem, toy

SHAPE = (3, 4, 3, 1)
TOLERANCE = 1e-3


def problems() -> list[Problem]:
    """The paper's example and random problems, in one shape."""
    return [padded(toy(), *SHAPE[:3]), *problems_of(SHAPE, 63, seed=1)]


def main() -> None:
    """Solve and print."""
    contracts = solve(problems(), 50.0 * (np.arange(64) == 0), TOLERANCE)
    fields: dict[str, Any] = {
        "dtype": str(jnp.asarray(contracts.price).dtype),
        "status": contracts.status,
        "plan": contracts.plan,
        "price": contracts.price,
        "cbt": contracts.cbt,
        "gain": contracts.gain,
        "utility": contracts.retailer.utility_plan + contracts.supplier.utility_plan,
        "chain_cost": contracts.chain_cost,
        "efficiency_gap": contracts.certificate.efficiency_gap,
        "price_error": contracts.certificate.price_error,
    }
    plain = {
        name: value if isinstance(value, str) else np.asarray(value).tolist()
        for name, value in fields.items()
    }
    json.dump(plain, sys.stdout)


if __name__ == "__main__":
    main()
