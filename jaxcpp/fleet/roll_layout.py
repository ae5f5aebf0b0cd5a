"""A rolled week as columns, in the order of contract ids, and the states back from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.roll import ARMS, Roll, States, WeekDone
from jaxcpp.fleet.windows import Group
from jaxcpp.mechanism import status as codes

DUST = 1e-9
"""Of a contract's volume: planned units below this are rounding, and written as none."""

PAST_DUE = -1
"""The week written beside demand of earlier weeks, relative to the week that follows."""


def week_columns(roll: Roll, week: int, done: list[WeekDone]) -> dict[str, Columns]:
    """The tables of one week: `contracts`, `plans`, `state`."""
    return {
        "contracts": _contracts(roll, week, done),
        "plans": _plans(roll, week, done),
        "state": _state(roll, done),
    }


def _flat(one: WeekDone) -> dict[str, Any]:
    """One number a contract, by column."""
    contract, transfer, prepared = one.contract, one.transfer, one.planned.opened.prepared
    columns: dict[str, Any] = {
        "contract": one.group.contract, "code": contract.code, "gain": contract.gain,
        "window_cbt": contract.cbt, "window_fee": contract.fee, "cbt": transfer.cbt, "fee": transfer.fee,
        "price": transfer.price, "paid": transfer.paid, "settled": transfer.settled,
        "efficiency_lost": contract.efficiency_lost, "lost_error": contract.certificate.lost_error,
        "efficiency_gap": contract.certificate.efficiency_gap, "price_error": transfer.error,
        "chain_cost": contract.retailer.cost_plan + contract.supplier.cost_plan, "churn": one.churn,
        "cancelled": transfer.cancelled, "owed": transfer.owed, "compensation": transfer.compensation,
        "rounds": contract.rounds.astype(np.int32),
        "filled": contract.filled, "jit_total": contract.jit.sum(axis=1),
        "ordered": (prepared.order.plan * prepared.terms.volume[:, None]).sum(axis=1),
    }  # fmt: skip
    for arm in ARMS:
        account = one.accounts[arm]
        columns |= {f"{name}_{arm}": values for name, values in vars(account).items()}
        columns[f"retailer_value_{arm}"], columns[f"supplier_value_{arm}"] = one.values[arm]
    return columns


def _contracts(roll: Roll, week: int, done: list[WeekDone]) -> Columns:
    fleet, found = roll.fleet, roll.found
    parts = [_flat(one) for one in done]
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    merged = {name: values[np.argsort(merged["contract"])] for name, values in merged.items()}
    del merged["contract"]
    code = merged.pop("code")
    told = {name: merged.pop(name) for name in ("filled", "jit_total", "ordered", "owed", "compensation")}
    columns: Columns = {
        "contract_id": found.ids,
        "vendor_id": fleet.vendor_ids[found.vendor],
        "product_ids": [[product] for product in fleet.product_ids[found.product].tolist()],
        "status": np.asarray(codes.NAMES)[code],
        "reason": _reasons(week, code, merged | told, fleet.currency),
    }
    return columns | merged


def _reasons(week: int, code: np.ndarray, merged: dict[str, Any], currency: str) -> list[str]:
    """Why a contract ended as it did, and what was settled, in words."""
    words, unit = [], f" {currency}" if currency else ""
    for row, status in enumerate(code):
        parts = [codes.REASONS[status]]
        if not merged["filled"][row]:
            parts.append(
                f"week {week}: the vendor can confirm {_units(merged['jit_total'][row])} of the "
                f"{_units(merged['ordered'][row])} units that stand without a new plan"
            )
        if merged["cancelled"][row] > 0.0:
            parts.append(
                f"week {week}: {_units(merged['cancelled'][row])} units of the plan of record are cancelled "
                f"since no demand takes them; the retailer pays the vendor's margin on them, "
                f"{merged['compensation'][row]:,.2f}{unit}"
            )
        if merged["owed"][row] > 0.0:
            parts.append(
                f"week {week}: the vendor pays {merged['owed'][row]:,.2f}{unit}, what it costs the retailer "
                f"that part of the plan of record can no longer be delivered"
            )
        parts.extend(
            f"week {week}: {_units(merged[f'unmet_{arm}'][row])} units that had to be served were not "
            f"({arm}); give a lost_sale_cost or a backlog_cost, or more capacity"
            for arm in ARMS
            if merged[f"unmet_{arm}"][row] > 0.0
        )
        words.append("; ".join(part for part in parts if part))
    return words


def _units(number: float) -> str:
    """A number of units as people write it."""
    text = f"{number:,.3f}".rstrip("0").rstrip(".")
    return text if text != "0" else f"{number:.1g}"


def _plans(roll: Roll, week: int, done: list[WeekDone]) -> Columns:
    """Units by contract, inbound node and week.

    The order that stood without a new plan, the plan issued, and the order of the same week in the
    fleet without coordination.
    """
    fleet, found, parts = roll.fleet, roll.found, []
    for one in done:
        shape = (len(one.group.contract), one.group.shape.inbound, one.group.shape.weeks)
        least = DUST * np.asarray(one.planned.opened.prepared.terms.volume)[:, None, None]
        three = [
            np.asarray(units).reshape(shape)
            for units in (one.contract.jit, one.planned.issued, one.jit_issued)
        ]
        three = [np.where(units > least, units, 0.0) for units in three]
        lane, node, ahead = np.nonzero(three[0] + three[1] + three[2])
        parts.append(
            (one.group.contract[lane], one.group.nodes[lane, node], week + ahead,
             *(units[lane, node, ahead] for units in three))
        )  # fmt: skip
    contract, inbound, at, *units = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((at, inbound, contract))
    contract = contract[order]
    return {
        "contract_id": found.ids[contract],
        "vendor_id": fleet.vendor_ids[found.vendor[contract]],
        "product_id": fleet.product_ids[found.product[contract]],
        "inbound_id": fleet.inbound_ids[inbound[order]],
        "week": at[order].astype(np.int32),
        "baseline_units": units[0][order],
        "plan_units": units[1][order],
        "jit_units": units[2][order],
    }


# What a state holds, in the order of its rows, and the axes of each part after the lane's.
PARTS: dict[str, tuple[str, ...]] = {
    "spare": ("inbound",),
    "kept": ("inbound", "region", "week"),
    "backlog": ("region",),
    "stock": ("source",),
    "record": ("inbound", "week"),
    "price": ("inbound", "week"),
}


def _weekly(group: Group, name: str, values: Floats) -> Floats:
    """A part of a state with one axis for each of `PARTS`."""
    return values.reshape(len(values), -1, group.shape.weeks) if name in ("record", "price") else values


def _axes(group: Group, name: str, where: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """Positions among the fleet's nodes and regions, and weeks, of some places of a part."""
    lane, *places = where
    found = dict(zip(PARTS[name], places, strict=True))
    leads = {"inbound": group.nodes, "region": group.region, "source": group.source}
    return {axis: at if axis == "week" else leads[axis][lane, at] for axis, at in found.items()}


def _state(roll: Roll, done: list[WeekDone]) -> Columns:
    """Every number of the states left that is not nothing; equal states, equal rows."""
    parts = []
    for one in done:
        for (number, arm), (which, name) in _product(enumerate(ARMS), enumerate(PARTS)):
            values = _weekly(one.group, name, getattr(one.states[arm], name))
            where = np.nonzero(np.isfinite(values) if name == "price" else values != 0.0)
            axes = _axes(one.group, name, where)
            none = np.full(len(where[0]), -1)
            node = axes.get("inbound", axes.get("source", none))
            # Padded nodes have a price and no name: they are nothing.
            real = node >= 0 if name != "backlog" else none < 0
            columns = (
                one.group.contract[where[0]], none + 1 + number, none + 1 + which, node,
                axes.get("region", none), axes.get("week", none), values[where],
            )  # fmt: skip
            parts.append([column[real] for column in columns])
    contract, arm, what, node, region, at, value = (np.concatenate(c) for c in zip(*parts, strict=True))
    order = np.lexsort((at, region, node, what, arm, contract))
    contract, arm, what, node, region, at = (c[order] for c in (contract, arm, what, node, region, at))
    fleet = roll.fleet
    at_source = np.equal(what, list(PARTS).index("stock"))
    inbound, source = (np.append(ids.astype(object), "") for ids in (fleet.inbound_ids, fleet.source_ids))
    return {
        "contract_id": roll.found.ids[contract],
        "arm": np.asarray(ARMS)[arm],
        "what": np.asarray(list(PARTS))[what],
        "node_id": np.where(
            at_source, source[np.where(at_source, node, -1)], inbound[np.where(at_source, -1, node)]
        ),
        "region_id": np.append(fleet.region_ids.astype(object), "")[region],
        "week": at.astype(np.int32),
        "value": value[order],
    }


def _product(left: Any, right: Any) -> list[tuple[Any, Any]]:
    right = list(right)
    return [(a, b) for a in left for b in right]


def states_of(roll: Roll, columns: Columns) -> list[States]:
    """The states of all groups from the rows of a `state` table."""
    fleet = roll.fleet
    contract = np.searchsorted(roll.found.ids, np.asarray(columns["contract_id"]).astype(str))
    what = np.asarray(columns["what"]).astype(str)
    arms = np.asarray(columns["arm"]).astype(str)
    week, value = np.asarray(columns["week"]), np.asarray(columns["value"])
    node, place = np.asarray(columns["node_id"]).astype(str), np.asarray(columns["region_id"]).astype(str)
    region = _position(fleet.region_ids, place)
    inbound = _position(fleet.inbound_ids, node)
    states = roll.start()
    for group, by_arm in zip(roll.groups, states, strict=True):
        lane_of = np.full(len(roll.found), -1)
        lane_of[group.contract] = np.arange(len(group.contract))
        lane = lane_of[contract]
        for arm, name in _product(ARMS, PARTS):
            rows = np.flatnonzero((lane >= 0) & (arms == arm) & (what == name))
            into = getattr(by_arm[arm], name)
            into[...] = np.nan if name == "price" else 0.0
            its = lane[rows]
            at = {
                "inbound": _column(group.nodes[its], inbound[rows]),
                "region": _column(group.region[its], region[rows]),
                "source": _source(fleet, group, its, node[rows]),
                "week": week[rows],
            }
            shaped = _weekly(group, name, into)
            shaped[(its, *(at[axis] for axis in PARTS[name]))] = value[rows]
            _known_padding(group, name, shaped)
    return states


def _known_padding(group: Group, name: str, values: Floats) -> None:
    """A padded node has no price in the file and any price will do; a lane without any has none."""
    if name == "price":
        some: np.ndarray = np.any(np.isfinite(values), axis=(1, 2))
        padded = (group.nodes < 0) & some[:, None]
        values[padded] = 0.0


def _position(ids: np.ndarray, names: np.ndarray) -> np.ndarray:
    return np.minimum(np.searchsorted(ids, names), len(ids) - 1)


def _column(leads: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which column of each row leads to the position wanted."""
    return np.argmax(leads == wanted[:, None], axis=1)


def _source(fleet: Fleet, group: Group, lane: np.ndarray, names: np.ndarray) -> np.ndarray:
    leads = group.source[lane]
    named = np.where(leads >= 0, fleet.source_ids[leads], "")
    return np.argmax(named == names[:, None], axis=1)


def summary_row(week: int, contracts: Columns, plans: Columns, before: Columns | None) -> Columns:
    """One week of `summary` from its tables and the row before, without its cumulative columns' history.

    `before` is the row of the week before, or None for the first.
    """

    def total(name: str) -> float:
        return float(np.sum(np.asarray(contracts[name], dtype=np.float64)))

    status = np.asarray(contracts["status"], dtype=str)
    chain, gap = np.asarray(contracts["chain_cost"]), np.asarray(contracts["efficiency_gap"])
    certified = np.isin(status, ["accepted", "declined", "no_gain"])
    row: Columns = {
        "week": week, "contracts": len(status), "accepted": int((status == "accepted").sum()),
        "certified": int(certified.sum()),
        "worst_efficiency_gap": float(np.max((gap / np.maximum(chain, 1e-6))[certified], initial=0.0)),
        "planned": float(np.sum(plans["plan_units"])),
    }  # fmt: skip
    names = [name for name in contracts if name.endswith(("_plan", "_jit"))]
    for name in ("cbt", "fee", "paid", "settled", "efficiency_lost", "churn", "cancelled", *names):
        row[name] = total(name)
    moved = row["paid"] + row["settled"]
    row["supplier_surplus"] = row["supplier_profit_plan"] - row["supplier_profit_jit"] - moved
    row["retailer_gain"] = row["retailer_profit_plan"] - row["retailer_profit_jit"] + moved
    row["gain"] = row["supplier_surplus"] + row["retailer_gain"]
    left = {
        party: row[f"{party}_value_plan"] - row[f"{party}_value_jit"] for party in ("retailer", "supplier")
    }
    for name, still in (
        ("gain", left["retailer"] + left["supplier"]),
        ("supplier_surplus", left["supplier"]),
        ("retailer_gain", left["retailer"]),
    ):
        so_far = 0.0 if before is None else before[f"_{name}"]
        row[f"_{name}"] = so_far + row[name]
        row[f"cumulative_{name}"] = row[f"_{name}"] + still
    return row


def summary_columns(rows: list[Columns]) -> Columns:
    """The rows of `summary` as columns."""
    names = [name for name in rows[0] if not name.startswith("_")]
    return {name: np.asarray([row[name] for row in rows]) for name in names}
