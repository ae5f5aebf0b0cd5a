"""Pages and words from a run's tables, for people. No JAX; matplotlib and jinja2 only to make a page."""

from __future__ import annotations

from jaxcpp.report.explain import ContractError, contract_of, explain
from jaxcpp.report.load import ReportError, read_names
from jaxcpp.report.write import MissingLibraryError, write_report

__all__ = [
    "ContractError",
    "MissingLibraryError",
    "ReportError",
    "contract_of",
    "explain",
    "read_names",
    "write_report",
]
