"""When: one week of one contract after another, a window ahead (arXiv:2605.16695 section 5)."""

from __future__ import annotations

from jaxcpp.horizon import changes
from jaxcpp.horizon.continuation import Continuation, continuation
from jaxcpp.horizon.orders import Placed, base_stock, just_in_time, on_record
from jaxcpp.horizon.shipment import Shipment, shipment
from jaxcpp.horizon.state import State

__all__ = [
    "Continuation",
    "Placed",
    "Shipment",
    "State",
    "base_stock",
    "changes",
    "continuation",
    "just_in_time",
    "on_record",
    "shipment",
]
