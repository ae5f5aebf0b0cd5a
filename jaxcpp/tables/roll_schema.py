"""The tables of a rolled fleet as data: the one place that knows their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jaxcpp.tables.schema import Column, Kind, TableSpec

ACCOUNT_UNITS: Final = (
    "asked", "sold", "lost", "unmet", "delivered", "built", "left", "backlog", "on_hand", "vendor_stock",
)  # fmt: skip
"""Units of one week's account, by arm."""

ACCOUNT_MONEY: Final = (
    "churn_cost", "retailer_shipping", "retailer_holding", "backlog_cost", "lost_sale_cost", "leftover_cost",
    "retailer_profit", "supplier_shipping", "supplier_holding", "supplier_profit",
)  # fmt: skip
"""Currency of one week's account, by arm."""

VALUES: Final = ("retailer_value", "supplier_value")
"""Currency: what the state a week leaves is worth, going on just in time over the window."""

ARMS: Final = ("plan", "jit")


def _id(name: str) -> Column:
    return Column(name, Kind.ID)


def _numbers(unit: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.NUMBER, unit) for name in names)


def _by_arm(unit: str, *names: str) -> tuple[Column, ...]:
    return _numbers(unit, *(f"{name}_{arm}" for name in names for arm in ARMS))


_CONTRACT = (_id("contract_id"), _id("vendor_id"), Column("product_ids", Kind.IDS))

_ROLL = (
    TableSpec(
        "contracts",
        (
            *_CONTRACT,
            Column("status", Kind.TEXT),
            Column("reason", Kind.TEXT),
            *_numbers("currency", "gain", "window_cbt", "window_fee", "efficiency_lost", "lost_error"),
            *_numbers("currency", "cbt", "fee", "price", "paid", "settled"),
            *_numbers("currency", "efficiency_gap", "price_error"),
            *_numbers("currency", "chain_cost"),
            *_numbers("units", "churn", "cancelled"),
            Column("rounds", Kind.COUNT, "rounds"),
            *_by_arm("units", *ACCOUNT_UNITS),
            *_by_arm("currency", *ACCOUNT_MONEY, *VALUES),
        ),
        key=("contract_id",),
    ),
    TableSpec(
        "plans",
        (
            *(_id("contract_id"), _id("vendor_id"), _id("product_id"), _id("inbound_id")),
            Column("week", Kind.WEEK, "week"),
            *_numbers("units", "baseline_units", "plan_units", "jit_units"),
        ),
        key=("contract_id", "product_id", "inbound_id", "week"),
    ),
    TableSpec(
        "state",
        (
            *(_id("contract_id"), Column("arm", Kind.TEXT), Column("what", Kind.TEXT)),
            *(Column("node_id", Kind.TEXT), Column("region_id", Kind.TEXT)),
            Column("week", Kind.WEEK, "week"),
            *_numbers("units, or currency/unit", "value"),
        ),
        key=("contract_id", "arm", "what", "node_id", "region_id", "week"),
    ),
)

ROLL: Final[Mapping[str, TableSpec]] = {spec.name: spec for spec in _ROLL}
"""The tables of one week by name, in the order in which they are written."""

SUMMARY: Final = TableSpec(
    "summary",
    (
        Column("week", Kind.WEEK, "week"),
        *(Column(name, Kind.COUNT) for name in ("contracts", "accepted", "certified")),
        *_numbers("currency", "gain", "cbt", "fee", "paid", "settled", "supplier_surplus", "retailer_gain"),
        *_numbers("currency", "efficiency_lost"),
        *_numbers("currency", "cumulative_gain", "cumulative_supplier_surplus", "cumulative_retailer_gain"),
        *_numbers("1", "worst_efficiency_gap"),
        *_numbers("units", "churn", "planned", "cancelled"),
        *_by_arm("units", *ACCOUNT_UNITS),
        *_by_arm("currency", *ACCOUNT_MONEY, *VALUES),
    ),
    key=("week",),
)
"""A rolled fleet, one row a week; gains compare with the same fleet on the same demand just in time."""
