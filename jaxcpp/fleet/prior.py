"""What a retailer believes of its vendors' costs: factors on their lanes, drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from jaxcpp.fleet.data import Fleet, Floats, Ints

OTHERS = "others"
"""The segment of vendors that no segment names."""


class PriorError(ValueError):
    """A prior speaks of what the fleet does not have, or of impossible numbers."""


@dataclass(frozen=True)
class Prior:
    """Lognormal factors of mean one on each vendor's lanes.

    `common` and `own` are standard deviations of the logarithm: of a factor that all vendors of a segment
    share, and of each vendor's own beside it. `segments` gives a vendor's segment by its id.
    """

    common: float = 0.0
    own: float = 0.0
    segments: Mapping[str, str] = field(default_factory=dict)


def segments(prior: Prior, fleet: Fleet) -> tuple[list[str], Ints]:
    """The names of the segments, and the segment of each of the fleet's vendors.

    Raises:
        PriorError: a vendor is not in the fleet, or a deviation is no number from 0 to 3.
    """
    for name, value in (("common", prior.common), ("own", prior.own)):
        if not 0.0 <= value <= 3.0:
            raise PriorError(f"{name} is {value}; give a standard deviation of a logarithm, 0 to 3")
    known = {str(vendor) for vendor in fleet.vendor_ids}
    if strange := sorted(set(prior.segments) - known):
        raise PriorError(f"segments name vendor {strange[0]!r}, which the fleet does not have")
    of = [prior.segments.get(str(vendor), OTHERS) for vendor in fleet.vendor_ids]
    names = sorted(set(of))
    return names, np.asarray([names.index(name) for name in of], np.int32)


def factors(prior: Prior, fleet: Fleet, rng: np.random.Generator) -> Floats:
    """One draw of each vendor's factor."""
    names, segment = segments(prior, fleet)
    shared, own = rng.standard_normal(len(names)), rng.standard_normal(len(segment))
    spread = prior.common**2 + prior.own**2
    return np.exp(prior.common * shared[segment] + prior.own * own - spread / 2.0)


def drawn(prior: Prior, fleet: Fleet, rng: np.random.Generator) -> Fleet:
    """The fleet with vendors' lanes at costs drawn from the prior; margins and capacities stay."""
    lanes = fleet.inbound_lanes
    factor = factors(prior, fleet, rng)[fleet.source_vendor[lanes.source]]
    costs = {name: getattr(lanes, name) * factor for name in ("unit_cost", "cost_per_kg")}
    return replace(fleet, inbound_lanes=replace(lanes, **costs))
