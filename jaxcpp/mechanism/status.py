"""How a contract ends, as a code per lane and in words."""

from __future__ import annotations

ACCEPTED, DECLINED, NO_GAIN, INFEASIBLE, NOT_CONVERGED = range(5)

NAMES = ("accepted", "declined", "no_gain", "infeasible", "not_converged")
"""Status names by code."""

REASONS = (
    "",
    "every plan's price is above the supplier's gain: just-in-time stands and nothing is paid",
    "just-in-time is already the best plan, to within the certificate",
    "no plan serves all the demand that must be served",
    "no certificate within the tolerance: just-in-time stands; allow more rounds or a wider tolerance",
)
"""What a status means, by code."""
