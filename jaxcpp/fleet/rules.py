"""Fees as rules in plain numbers, and whom they are charged to. Nothing heavy: the CLI builds these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EVERY_NODE = "*"
"""In a charge by inbound node: the nodes that have none of their own."""

Charge = float | Mapping[str, float | tuple[float, ...]]
"""Currency a unit: one number, or by inbound node; a node's may be a number or one by week."""


class FeeError(ValueError):
    """A fee speaks of something the fleet does not have."""


@dataclass(frozen=True)
class FeeRule:
    """A fee, and whom it is charged to; the most particular rule wins: offer, vendor, product, every one."""

    vendor: str = ""  # "" = every vendor
    product: str = ""  # "" = every product
    additive: float = 0.0  # currency / contract
    multiplicative: float = 0.0  # of the transfer
    roi: float = 0.0  # of the transfer, on the schedule
    roi_ex_post: float = 0.0  # of the transfer, charged once the plan is chosen
    over: Charge = 0.0  # currency / unit above just-in-time
    under: Charge = 0.0  # currency / unit below it
