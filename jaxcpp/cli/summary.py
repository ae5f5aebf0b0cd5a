"""The short table after a run, and the contracts that need a person's attention."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from jaxcpp.fleet.totals import KEPT, Totals

SHOWN = KEPT
"""Contracts listed by name; the others are counted."""

_PHASES = ("read", "compile", "solve", "write")


def summary(totals: Totals, document: Mapping[str, Any], currency: str) -> Table:
    """A run at a glance: statuses, costs, gain, payments, certificate, rounds, seconds.

    `document` is what run.json says. Sums are in currency and leave out contracts without a plan.
    """
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()

    def total(*names: str) -> float:
        return sum(totals.money[name] for name in names)

    counts = document["status_counts"]
    table.add_row("contracts", f"{sum(counts.values()):,}")
    for status, count in counts.items():
        table.add_row(f"  {status.replace('_', ' ')}", f"{count:,}")
    before = total("retailer_cost_jit", "supplier_cost_jit")
    gain = total("gain")
    kept = totals.private
    share = f"{gain / before:.2%} of chain cost" if before > 0 and not kept else ""
    money = f"{currency}; {kept:,} vendor costs not known".removeprefix("; ") if kept else currency
    table.add_row("chain cost, just-in-time", _money(before), money)
    table.add_row("chain cost, planned", _money(total("retailer_cost_plan", "supplier_cost_plan")), money)
    table.add_row("gain", _money(gain), f"{currency} {share}".strip())
    table.add_row("cost-benefit transfers", _money(total("cbt")), currency)
    table.add_row("fees", _money(total("fee")), currency)
    table.add_row("paid", _money(total("paid")), currency)
    if document.get("budget") is not None:
        table.add_row("principal's budget", _money(document["budget"]), _budget(document["budget"], currency))
    if totals.largest_gap is not None:
        # The relative one is of the contracts whose chain cost is known.
        relative = "" if kept else f"or {document['worst_efficiency_gap']:.1e} of chain cost"
        table.add_row("worst certificate", f"{totals.largest_gap:,.2g}", f"{currency} {relative}".strip())
    rounds = document["rounds"]
    if rounds["median"] is not None:
        table.add_row(
            "rounds", f"{rounds['median']:.0f}", f"median, 99 % {rounds['p99']:.0f}, most {rounds['max']:.0f}"
        )
    seconds = document["seconds"]
    spent = ", ".join(f"{name} {seconds[name]:.1f}" for name in _PHASES if name in seconds)
    table.add_row("seconds", f"{seconds['total']:.1f}", spent)
    return table


def _budget(amount: float, currency: str) -> str:
    """What the sign of the principal's budget means, if all parties' transfers were made."""
    kind = "a surplus" if amount > 0.0 else "a deficit" if amount < 0.0 else "balanced"
    return f"{currency} {kind}, if the retailer's own transfer were made too".strip()


def attention(totals: Totals, status: str, what: str) -> list[str]:
    """Lines that name the contracts of one status with their reasons: the first few, then a count."""
    count, first = totals.status[status], totals.named.get(status, [])
    return listed(f"{count:,} {what}", (f"{contract}: {reason}" for contract, reason in first), count)


def listed(title: str, lines: Iterable[str], count: int | None = None) -> list[str]:
    """`title`, the first few of `lines`, and how many more there are; nothing where there are none.

    `count` says how many there are where not all are given.
    """
    every = list(lines)
    if not every:
        return []
    count = len(every) if count is None else count
    more = [f"  and {count - SHOWN:,} more"] if count > SHOWN else []
    return [f"{title}:", *(f"  {line}" for line in every[:SHOWN]), *more]


def _money(amount: float) -> str:
    return f"{amount:,.2f}"
