"""Who answers: the retailer, the supplier, and what a coordinator may ask of them."""

from __future__ import annotations

from jaxcpp.agents.protocol import Agent
from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier

__all__ = ["Agent", "Retailer", "Supplier"]
