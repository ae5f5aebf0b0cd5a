"""The tables of a fleet and of a run as data: the one place that knows their columns.

Reading, checking and writing all go by these specs, so a column is described once: its kind, unit,
default, allowed range, and which other table its identifiers must be known to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

import pyarrow as pa


class Kind(Enum):
    """What a column holds; the value is its type in a file."""

    ID = "id"  # a name, always text
    TEXT = "text"  # words for people
    NUMBER = "number"
    WEEK = "week"  # 0-based int
    COUNT = "count"
    IDS = "list of ids"
    FLAG = "yes or no"


ARROW_TYPES: Final[Mapping[Kind, pa.DataType]] = {
    Kind.ID: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.NUMBER: pa.float64(),
    Kind.WEEK: pa.int32(),
    Kind.COUNT: pa.int32(),
    Kind.IDS: pa.list_(pa.string()),
    Kind.FLAG: pa.bool_(),
}


@dataclass(frozen=True)
class Column:
    """One column: a `required` one must be there and hold no null, any other may be absent or null.

    An absent or null number takes `default`, which is NaN where the table's meaning fills it in
    (equal shares); an absent or null id or week speaks for every one.
    """

    name: str
    kind: Kind
    unit: str = ""
    required: bool = True
    default: float = math.nan
    low: float = -math.inf
    high: float = math.inf
    infinite: bool = False  # whether +inf is allowed
    empty: str = ""  # what an absent or null value stands for, in words

    @property
    def arrow(self) -> pa.Field:
        """The column in a file, its unit in the field's metadata."""
        return pa.field(
            self.name, ARROW_TYPES[self.kind], metadata={"unit": self.unit} if self.unit else None
        )

    @property
    def range_text(self) -> str:
        """The numbers allowed, in words, for a message."""
        if self.kind is Kind.WEEK:
            return "a whole number, 0 for the first week"
        if self.high < math.inf:
            return f"a number from {self.low:g} to {self.high:g}"
        number = "a number" if self.infinite else "a finite number"
        words = number if self.low == -math.inf else f"{number} of at least {self.low:g}"
        return f"{words} or inf" if self.infinite else words


@dataclass(frozen=True)
class Reference:
    """`columns` together must occur in another table's columns of the same names."""

    columns: tuple[str, ...]
    table: str


@dataclass(frozen=True)
class TableSpec:
    """One table: its columns in order, what makes a row unique, and what it refers to."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    optional: bool = False
    by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})

    @property
    def arrow(self) -> pa.Schema:
        """The table in a file, every column present."""
        return pa.schema([column.arrow for column in self.columns])


def _id(name: str) -> Column:
    return Column(name, Kind.ID)


def _of_product() -> Column:
    return Column("product_id", Kind.ID, required=False, empty="every product")


def _at_least_zero(name: str, unit: str, *, default: float | None = None, infinite: bool = False) -> Column:
    return Column(
        name,
        Kind.NUMBER,
        unit,
        required=default is None,
        default=math.nan if default is None else default,
        low=0.0,
        infinite=infinite,
        empty="" if default is None else f"{default:g}",
    )


def _lane_costs() -> tuple[Column, ...]:
    return (
        _at_least_zero("unit_cost", "currency/unit"),
        _at_least_zero("cost_per_kg", "currency/kg", default=0.0),
    )


PRODUCT: Final = Reference(("product_id",), "products")

_FLEET = (
    TableSpec(
        "products",
        (
            _id("product_id"),
            _at_least_zero("weight_kg", "kg/unit", default=0.0),
            Column("margin", Kind.NUMBER, "currency/unit"),
            _at_least_zero("holding_cost", "currency/unit/week", default=0.0),
            _at_least_zero("backlog_cost", "currency/unit/week", default=math.inf, infinite=True),
            _at_least_zero("lost_sale_cost", "currency/unit", default=math.inf, infinite=True),
            _at_least_zero("leftover_cost", "currency/unit", default=math.inf, infinite=True),
        ),
        key=("product_id",),
    ),
    TableSpec(
        "demand",
        (_id("product_id"), _id("region_id"), Column("week", Kind.WEEK), _at_least_zero("units", "units")),
        key=("product_id", "region_id", "week"),
        references=(PRODUCT,),
    ),
    TableSpec(
        "inventory",
        (_id("product_id"), _id("inbound_id"), _at_least_zero("units", "units")),
        key=("product_id", "inbound_id"),
        references=(PRODUCT, Reference(("inbound_id",), "outbound_lanes")),
        optional=True,
    ),
    TableSpec(
        "targets",
        (
            *(_id("product_id"), _id("inbound_id")),
            Column("week", Kind.WEEK, required=False, empty="every week"),
            _at_least_zero("units", "units"),
        ),
        key=("product_id", "inbound_id", "week"),
        references=(PRODUCT, Reference(("inbound_id",), "outbound_lanes")),
        optional=True,
    ),
    TableSpec(
        "forecast",
        (
            *(_id("product_id"), _id("region_id")),
            *(Column("made_in", Kind.WEEK), Column("week", Kind.WEEK)),
            _at_least_zero("units", "units"),
        ),
        key=("product_id", "region_id", "made_in", "week"),
        references=(PRODUCT,),
        optional=True,
    ),
    TableSpec(
        "outbound_lanes",
        (_id("inbound_id"), _id("region_id"), *_lane_costs(), _of_product()),
        key=("inbound_id", "region_id", "product_id"),
        references=(PRODUCT,),
    ),
    TableSpec(
        "offers",
        (
            _id("vendor_id"),
            _id("product_id"),
            Column("margin", Kind.NUMBER, "currency/unit"),
            _at_least_zero("holding_cost", "currency/unit/week", default=0.0),
            Column("share", Kind.NUMBER, "1", required=False, low=0.0, high=1.0, empty="equal shares"),
        ),
        key=("vendor_id", "product_id"),
        references=(PRODUCT,),
    ),
    TableSpec(
        "sources",
        (
            _id("vendor_id"),
            _id("source_id"),
            _at_least_zero("capacity", "units/week"),
            Column("week", Kind.WEEK, required=False, empty="every week"),
            _of_product(),
        ),
        key=("vendor_id", "source_id", "week", "product_id"),
        references=(PRODUCT, Reference(("vendor_id",), "offers")),
    ),
    TableSpec(
        "inbound_lanes",
        (_id("vendor_id"), _id("source_id"), _id("inbound_id"), *_lane_costs(), _of_product()),
        key=("vendor_id", "source_id", "inbound_id", "product_id"),
        references=(
            PRODUCT,
            Reference(("vendor_id", "source_id"), "sources"),
            Reference(("inbound_id",), "outbound_lanes"),
        ),
    ),
)

FLEET: Final[Mapping[str, TableSpec]] = {spec.name: spec for spec in _FLEET}
"""The tables of a fleet by name, in the order in which they are read and reported."""


def _without_margin(spec: TableSpec) -> TableSpec:
    """The table where a margin may be left out: it is the other party's."""
    columns = (
        replace(column, required=False, empty="the other party's secret")
        if column.name == "margin"
        else column
        for column in spec.columns
    )
    return replace(spec, columns=tuple(columns))


WITH_OUTSIDE: Final[Mapping[str, TableSpec]] = {
    **FLEET,
    "offers": _without_margin(FLEET["offers"]),
    **{name: replace(FLEET[name], optional=True) for name in ("sources", "inbound_lanes")},
}
"""The tables of a fleet some of whose vendors keep theirs at home: offers without a margin are theirs."""

SIDE: Final[Mapping[str, TableSpec]] = {
    "products": replace(_without_margin(FLEET["products"]), optional=True),
    "offers": replace(FLEET["offers"], references=()),
    "sources": replace(FLEET["sources"], references=(FLEET["sources"].references[1],)),
    "inbound_lanes": replace(FLEET["inbound_lanes"], references=(FLEET["inbound_lanes"].references[1],)),
}
"""The tables of a vendor's own side, and of the retailer's at most the weights of its products."""

FLEET_TOML: Final = ("name", "currency", "first_week")
"""The keys of `fleet.toml`; `first_week` is an ISO date."""


def _money(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.NUMBER, "currency") for name in names)


_RUN = (
    TableSpec(
        "contracts",
        (
            _id("contract_id"),
            _id("vendor_id"),
            Column("product_ids", Kind.IDS),
            Column("status", Kind.TEXT),
            Column("reason", Kind.TEXT),
            *_money("retailer_cost_jit", "retailer_cost_plan", "supplier_cost_jit", "supplier_cost_plan"),
            *_money("retailer_utility_jit", "retailer_utility_plan"),
            *_money("supplier_utility_jit", "supplier_utility_plan"),
            *_money("gain", "cbt", "fee", "price", "paid", "supplier_surplus", "efficiency_lost"),
            *_money("efficiency_gap", "price_error", "lost_error"),
            Column("rounds", Kind.COUNT, "rounds"),
            Column("solver", Kind.TEXT),
        ),
        key=("contract_id",),
    ),
    TableSpec(
        "plans",
        (
            *(_id("contract_id"), _id("vendor_id"), _id("product_id"), _id("inbound_id")),
            Column("week", Kind.WEEK, "week"),
            Column("jit_units", Kind.NUMBER, "units"),
            Column("plan_units", Kind.NUMBER, "units"),
        ),
        key=("contract_id", "product_id", "inbound_id", "week"),
    ),
    TableSpec(
        "flows",
        (
            Column("party", Kind.TEXT),
            Column("vendor_id", Kind.ID, required=False, empty="the retailer's own"),
            *(_id("product_id"), _id("from_id"), _id("to_id")),
            Column("week_from", Kind.WEEK, "week"),
            Column("week_to", Kind.WEEK, "week"),
            Column("units", Kind.NUMBER, "units"),
        ),
        optional=True,
    ),
    TableSpec(
        "prices",
        (
            *(_id("contract_id"), _id("inbound_id")),
            Column("week", Kind.WEEK, "week"),
            Column("price", Kind.NUMBER, "currency / unit"),
        ),
        key=("contract_id", "inbound_id", "week"),
        optional=True,
    ),
    TableSpec("rejected", (_id("product_id"), Column("reason", Kind.TEXT)), optional=True),
)

RUN: Final[Mapping[str, TableSpec]] = {spec.name: spec for spec in _RUN}
"""The tables of a run by name, in the order in which they are written."""

_FEE = "currency, share or currency / unit"
_NUMBERS = ("additive", "multiplicative", "roi", "over", "under")

_TUNE = (
    TableSpec(
        "tune",
        (
            _id("group"),
            Column("contracts", Kind.COUNT, "contracts"),
            *_money("take", "take_error", "kept", "kept_error"),
            Column("participation", Kind.NUMBER, "share"),
            *_money("grid_take", "grid_kept"),
        ),
        key=("group",),
    ),
    TableSpec(
        "fees",
        (
            *(_id("group"), _id("number")),
            *(Column(name, Kind.NUMBER, _FEE) for name in ("fee", "fee_error", "grid_fee")),
        ),
        key=("group", "number"),
    ),
    TableSpec(
        "curve",
        (
            _id("group"),
            *(Column(name, Kind.NUMBER, _FEE) for name in _NUMBERS),
            *_money("take", "kept"),
            Column("participation", Kind.NUMBER, "share"),
        ),
        key=("group", *_NUMBERS),
    ),
)

TUNE: Final[Mapping[str, TableSpec]] = {spec.name: spec for spec in _TUNE}
"""Fees tuned on a prior, by group: what was chosen, and what every fee of a grid brings."""

SWEEP: Final = TableSpec(
    "sweep",
    (
        Column("fee_value", Kind.NUMBER, "currency or share"),
        _id("vendor_id"),
        *(
            Column(name, Kind.COUNT, "contracts")
            for name in ("contracts", "offered", "accepted", "not_certified", "rounds")
        ),
        *_money("price", "paid", "cbt_paid", "fees_paid", "gain", "supplier_surplus", "efficiency_lost"),
    ),
    key=("fee_value", "vendor_id"),
)
"""A fleet under every fee of a grid, by vendor."""

_MENU = (
    TableSpec(
        "menu",
        (
            _id("plan_id"),
            *_money("retailer_cost", "cbt", "fee", "price", "price_error"),
            *_money("supplier_cost", "supplier_utility", "supplier_net"),
            Column("choice", Kind.FLAG),
        ),
        key=("plan_id",),
    ),
    TableSpec(
        "plans",
        (
            *(_id("plan_id"), _id("inbound_id")),
            Column("week", Kind.WEEK, "week", required=False, empty="week 0"),
            Column("units", Kind.NUMBER, "units"),
        ),
        key=("plan_id", "inbound_id", "week"),
    ),
)

MENU: Final[Mapping[str, TableSpec]] = {spec.name: spec for spec in _MENU}
"""The tables of a menu by name; `plans` is read too."""
