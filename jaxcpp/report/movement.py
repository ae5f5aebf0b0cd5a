"""How a plan moves units between inbound nodes and weeks."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from jaxcpp.fleet.results import Columns
from jaxcpp.report.load import Floats

MOST_NODES = 12
MOST_WEEKS = 14
"""Rows and columns of a table; what is over them is added up."""


def movement(plans: Columns, first_week: str) -> dict[str, Any]:
    """Units by node, by week and by both, just in time and as carried out, and how many moved.

    A unit moved when its product arrives at another inbound node or in another week than just-in-time
    would have it; `to_another_node` counts those that change node, `to_another_week` those that only
    change week. Units a plan has more or less in all are `net`, not moved.
    """
    node_names, node = np.unique(np.asarray(plans["inbound_id"], dtype=str), return_inverse=True)
    week = np.asarray(plans["week"], dtype=np.int64)
    weeks = int(week.max(initial=-1)) + 1
    jit, plan = (np.asarray(plans[f"{arm}_units"], dtype=np.float64) for arm in ("jit", "plan"))
    cells = {}
    for name, amount in (("jit", jit), ("plan", plan)):
        cells[name] = np.zeros((len(node_names), weeks))
        np.add.at(cells[name], (node, week), amount)
    delta = cells["plan"] - cells["jit"]
    order = np.argsort(-delta.sum(axis=1), kind="stable")
    return {
        **_moved(plans, node, plan - jit),
        "units_jit": float(jit.sum()),
        "units_plan": float(plan.sum()),
        "nodes": [
            {
                "inbound_id": str(node_names[at]),
                "jit_units": float(cells["jit"][at].sum()),
                "plan_units": float(cells["plan"][at].sum()),
                "change_by_week": delta[at].tolist(),
            }
            for at in order
        ],
        "weeks": [
            {
                "week": at,
                "label": week_label(first_week, at),
                "jit_units": float(cells["jit"][:, at].sum()),
                "plan_units": float(cells["plan"][:, at].sum()),
            }
            for at in range(weeks)
        ],
    }


def _moved(plans: Columns, node: np.ndarray, delta: Floats) -> dict[str, float]:
    contract = np.unique(np.asarray(plans["contract_id"], dtype=str), return_inverse=True)[1]
    product = np.unique(np.asarray(plans["product_id"], dtype=str), return_inverse=True)[1]
    item = np.unique(contract * (product.max(initial=0) + 1) + product, return_inverse=True)[1]
    moved = _swapped(item, delta)
    place, at_node = np.unique(item * (node.max(initial=0) + 1) + node, return_inverse=True)
    by_node: Floats = np.zeros(len(place))
    np.add.at(by_node, at_node, delta)
    to_node = _swapped(place // (node.max(initial=0) + 1), by_node)
    return {
        "moved": moved,
        "to_another_node": to_node,
        "to_another_week": max(moved - to_node, 0.0),
        "net": float(delta.sum()),
    }


def _swapped(item: np.ndarray, delta: Floats) -> float:
    """Units that some of an item's places gain and others lose, over all items."""
    size = int(item.max(initial=-1)) + 1
    if not size:
        return 0.0
    more, less = (np.bincount(item, np.maximum(sign * delta, 0.0), size) for sign in (1.0, -1.0))
    return float(np.minimum(more, less).sum())


def heat(movement: dict[str, Any]) -> dict[str, Any]:
    """The change by node and week as a table to look at: few enough rows and columns, and a tint each.

    Tints run from -4 (most units taken away) to 4 (most added).
    """
    nodes, weeks = movement["nodes"], movement["weeks"]
    head = [week["label"] for week in weeks]
    table = np.asarray([node["change_by_week"] for node in nodes], dtype=np.float64)
    table = table.reshape(len(nodes), len(weeks))
    names = [node["inbound_id"] for node in nodes]
    if len(nodes) > MOST_NODES:
        size = np.abs(table).sum(axis=1)
        least = np.sort(np.argsort(-size, kind="stable")[MOST_NODES - 1 :])
        rest = table[least].sum(axis=0)
        names = [name for at, name in enumerate(names) if at not in least]
        table = np.vstack([np.delete(table, least, axis=0), rest])
        names.append(f"{len(least)} others")
    if len(head) > MOST_WEEKS:
        table = np.column_stack([table[:, : MOST_WEEKS - 1], table[:, MOST_WEEKS - 1 :].sum(axis=1)])
        head = [*head[: MOST_WEEKS - 1], "later"]
    most = max(float(np.abs(table).max(initial=0.0)), 1e-300)
    tint = np.sign(table) * np.ceil(np.sqrt(np.abs(table) / most) * 4.0 - 1e-9)
    tint = np.where(np.abs(table) < 0.5, 0.0, tint)
    rows = [
        {
            "name": name,
            "cells": [
                {"units": float(value), "tint": int(shade)} for value, shade in zip(*both, strict=True)
            ],
            "total": float(both[0].sum()),
        }
        for name, *both in zip(names, table, tint, strict=True)
    ]
    return {"head": head, "rows": rows}


def week_label(first_week: str, week: int) -> str:
    """The day a week starts, `19 Sep`, or its number where the fleet has no dates."""
    if not first_week:
        return f"week {week}"
    day = dt.date.fromisoformat(first_week) + dt.timedelta(weeks=week)
    return f"{day.day} {day:%b}"
