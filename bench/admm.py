"""The protocol by ADMM, answered by our agents and by Sinkhorn sweeps of OTT-JAX: `python -m bench admm`.

Both run the same ADMM, smoothing and certificate, on the same contracts, to one accuracy: the one that the
sweeps reach in every contract.
"""

from __future__ import annotations

from bench.contracts import Plan
from bench.stored import Document, rate

TOLERANCE = 1e-3
"""At 1e-4 some contracts answered by sweeps do not end."""
BATCHES = {"S": 256, "M": 128, "L": 8, "W": 4}
NAMES = ("jaxcpp-admm", "jaxcpp", "ott-admm")


def plan(size: str, batch: int | None, repeats: int) -> Plan:
    """What is compared at a size."""
    return Plan(size, BATCHES[size] if batch is None else batch, (TOLERANCE,), repeats)


def verdict(found: Document) -> str:
    """How many times as fast ours is, and whether both reached the same accuracy."""
    rows = {line["peer"]: line for line in found["rows"]}
    if "ott-admm" not in rows or "jaxcpp-admm" not in rows:
        return "nothing to compare: one of the two is not there"
    ours, theirs = rows["jaxcpp-admm"], rows["ott-admm"]
    shares = f"{100 * ours['certified']:.4g} % of ours and {100 * theirs['certified']:.4g} % of theirs"
    ratio = rate(ours) / rate(theirs)
    return f"{ratio:.1f} times OTT-JAX in the same ADMM; certified to {ours['tolerance']:g}: {shares}"
