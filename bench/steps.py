"""Where the main job's time goes, step by step: `python -m bench steps --size S --batch 4096`.

The first line of a size compiles, the second does not. `seconds` is a step's time on the device,
`calls` how often it ran; what is left of the total is spent on the host and in compiling.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

import jax
import numpy as np

from bench.cases import CASES, generate
from bench.peers.jaxcpp_batch import bucket_of, settle_backend, silent
from jaxcpp.fleet.parts import solve_in_parts
from jaxcpp.fleet.programs import PROGRAMS
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism.status import NOT_CONVERGED


def main(arguments: list[str] | None = None) -> None:
    """Solve one batch twice or more; print one line of JSON a run."""
    parser = argparse.ArgumentParser(prog="python -m bench steps", description=__doc__)
    parser.add_argument("--size", choices=sorted(CASES), default="M")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--method", default="newton")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args(arguments)
    settle_backend()
    bucket = bucket_of(generate(CASES[options.size], options.batch))
    settings = Settings(tolerance=options.tolerance, method=options.method)
    for _ in range(options.repeats):
        before, calls = dict(PROGRAMS.seconds), Counter(PROGRAMS.calls)
        begun = time.perf_counter()
        solved = solve_in_parts(bucket, settings, silent)
        total = time.perf_counter() - begun
        seconds = {step: PROGRAMS.seconds[step] - before.get(step, 0.0) for step in PROGRAMS.calls - calls}
        rounds = np.asarray(solved.contract.rounds)
        line = {
            "size": options.size,
            "batch": options.batch,
            "tolerance": options.tolerance,
            "device": jax.devices()[0].device_kind,
            "total": round(total, 4),
            "contracts_per_second": round(options.batch / total, 1),
            "certified": float(np.mean(solved.contract.code != NOT_CONVERGED)),
            "rounds": [int(np.quantile(rounds, q, method="higher")) for q in (0.5, 0.99, 1.0)],
            "seconds": {step: round(spent, 4) for step, spent in seconds.items()},
            "calls": dict(PROGRAMS.calls - calls),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
