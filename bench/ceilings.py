"""What the machine can do at most: `python -m bench ceilings` copies memory and multiplies matrices.

Float64, on JAX's first device. Every other figure is a share of these.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from bench.peers.jaxcpp_batch import settle_backend


def median_seconds(run: Callable[[], jax.Array], repeats: int = 9) -> float:
    """Of a compiled call, after one that is not counted."""
    jax.block_until_ready(run())
    spent = []
    for _ in range(repeats):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent)


def main(arguments: list[str] | None = None) -> None:  # noqa: ARG001  (there is nothing to choose)
    """Print bytes and floating-point operations a second, as one line of JSON."""
    settle_backend()
    device = jax.devices()[0]
    large = device.platform != "cpu"
    vector = jnp.ones((2**28 if large else 2**25,))
    side = 8192 if large else 1536
    matrix = jax.random.normal(jax.random.key(0), (side, side))
    copy, multiply = jax.jit(lambda x: x + 1.0), jax.jit(lambda x: x @ x)
    moved = 2 * vector.nbytes / median_seconds(lambda: copy(vector))
    done = 2.0 * side**3 / median_seconds(lambda: multiply(matrix))
    facts = {
        "device": f"{device.platform} {device.device_kind}",
        "gigabytes_per_second": round(moved / 1e9, 1),
        "float64_gigaflops": round(done / 1e9, 1),
    }
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
