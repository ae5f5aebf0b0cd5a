"""How much of the machine's memory bandwidth and arithmetic a rate of contracts uses.

Two counts, both of what the textbook method would do, so that they can be checked by hand:

- bytes: every number of a contract read from memory once, in double precision;
- operations: in every round, each lane of both parties weighed once (a difference, a product, an exponential
  counted as one, two sums), the slopes' products of a symmetric matrix, and its Cholesky factor.

Lanes that carry nothing need not be weighed, and a round of the kernel's exact search needs neither
exponentials nor a factor: a second share above one says how much less than the textbook's was done.
"""

from __future__ import annotations

from typing import Any

from bench.cases import Case

A_LANE = 5.0


def numbers(case: Case) -> int:
    """Of one contract: costs, demand, capacity."""
    lanes = case.inbound * (case.regions + case.sources)
    return lanes + (case.regions + case.sources) * case.weeks


def operations(case: Case) -> float:
    """Of one round of price Newton, dense."""
    public = case.inbound * case.weeks
    private = (case.regions + case.sources) * case.weeks
    return public * private * (A_LANE + public) + public**3 / 3.0


def shares(
    case: Case, rounds: float, contracts_per_second: float, limits: dict[str, Any]
) -> dict[str, float]:
    """Of the bandwidth, and of the dense arithmetic, that the machine was measured to have."""
    moved = 8.0 * numbers(case) * contracts_per_second
    done = rounds * operations(case) * contracts_per_second
    return {
        "of_bandwidth": moved / (1e9 * limits["gigabytes_per_second"]),
        "of_arithmetic": done / (1e9 * limits["float64_gigaflops"]),
    }
