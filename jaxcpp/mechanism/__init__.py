"""Who pays: just-in-time, transfers, fees, the decision, and what is certain about it."""

from __future__ import annotations

from jaxcpp.mechanism.contract import Certificate, Contract
from jaxcpp.mechanism.coordinate import coordinate
from jaxcpp.mechanism.fees import AdditiveFee, DeviationFee, MultiplicativeFee, RoiFee

__all__ = [
    "AdditiveFee",
    "Certificate",
    "Contract",
    "DeviationFee",
    "MultiplicativeFee",
    "RoiFee",
    "coordinate",
]
