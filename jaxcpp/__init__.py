"""Coordinating retailers and their suppliers: plans by consensus, payments by Vickrey-Clarke-Groves.

`Retailer`, `Supplier`, `coordinate` and `Contract` are all a new user needs, and a fee. Names load on first
use, so that `import jaxcpp` is quick and does not start JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcpp.agents.border import BorderLog
    from jaxcpp.agents.retailer import Retailer
    from jaxcpp.agents.supplier import Supplier
    from jaxcpp.mechanism.contract import Contract
    from jaxcpp.mechanism.coordinate import coordinate
    from jaxcpp.mechanism.fees import AdditiveFee, DeviationFee, MultiplicativeFee, RoiFee
    from jaxcpp.mechanism.outside import OutsideContracts, coordinate_outside

__version__ = "0.1.0"

__all__ = [
    "AdditiveFee",
    "BorderLog",
    "Contract",
    "DeviationFee",
    "MultiplicativeFee",
    "OutsideContracts",
    "Retailer",
    "RoiFee",
    "Supplier",
    "__version__",
    "coordinate",
    "coordinate_outside",
]

_HOMES = {
    "AdditiveFee": "jaxcpp.mechanism.fees",
    "BorderLog": "jaxcpp.agents.border",
    "Contract": "jaxcpp.mechanism.contract",
    "DeviationFee": "jaxcpp.mechanism.fees",
    "MultiplicativeFee": "jaxcpp.mechanism.fees",
    "OutsideContracts": "jaxcpp.mechanism.outside",
    "Retailer": "jaxcpp.agents.retailer",
    "RoiFee": "jaxcpp.mechanism.fees",
    "Supplier": "jaxcpp.agents.supplier",
    "coordinate": "jaxcpp.mechanism.coordinate",
    "coordinate_outside": "jaxcpp.mechanism.outside",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jaxcpp' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted(__all__)
