"""One contract in words: what changes, who saves what, what is paid and why, and what is certain."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxcpp.report.load import WITHOUT, Loaded, Names, ReportError, bundle_of, is_roll, load
from jaxcpp.report.movement import movement, week_label
from jaxcpp.report.numbers import asked, bound, count, money, percent, units
from jaxcpp.report.words import better_off, listing, status

SPELT = 6
"""Places and weeks of a plan named one by one; of a larger plan, as many of its largest changes."""

_ROUNDED = {f"{party}_cost_{arm}" for party in ("retailer", "supplier") for arm in ("jit", "plan")}
_AS_SAID = 0.025
"""Four amounts rounded to the cent are together off by less than this."""


class ContractError(LookupError):
    """The run has no such contract."""


@dataclass(frozen=True)
class One:
    """One contract of a run: its row, its plan, and with how many others it was planned."""

    row: dict[str, Any]
    plans: dict[str, Any]
    others: int
    currency: str
    first_week: str
    weeks: int  # of the run
    tolerance: float
    additive: bool  # whether all fees of the run are amounts that no plan changes

    def money(self, name: str) -> str:
        """A column of its row, with the currency."""
        return money(self.row[name], self.currency)

    def amount(self, value: float) -> str:
        """Money, with the currency."""
        return money(value, self.currency)


def explain(run: Path, contract: str, names: Names | None = None) -> list[str]:
    """Paragraphs on one contract of a run of `jaxcpp plan`, by `contract_id`, to be read aloud.

    Raises:
        ContractError: the run has no such contract.
        ReportError: the folder holds no whole run of `jaxcpp plan`.
    """
    if is_roll(run):
        raise ReportError(
            f"{run} is a rolled fleet, whose contracts are settled week by week; a run of jaxcpp plan is "
            f"explained, and weeks/week=NN/contracts.parquet has this one's figures"
        )
    loaded = load(run)
    one = _find(loaded, contract)
    paragraphs = [_title(one, names or Names())]
    if one.row["status"] == "infeasible":
        return [*paragraphs, f"There is no plan: {one.row['reason']}. Nothing is paid."]
    endings = {
        "accepted": _accepted,
        "declined": _declined,
        "no_gain": _no_gain,
        "not_converged": _not_converged,
    }
    if one.row["status"] not in endings:
        reason = f": {one.row['reason']}" if one.row["reason"] else ""
        return [*paragraphs, f"It ended as {status(one.row['status'])}{reason}. No plan is carried out."]
    return [*paragraphs, _just_in_time(one), *endings[one.row["status"]](one)]


def contract_of(run: Path, vendor: str, product: str) -> str:
    """The id of the contract in which a vendor supplies a product.

    Raises:
        ContractError: the run has none.
    """
    loaded = load(run)
    rows = zip(
        loaded.contracts["contract_id"],
        loaded.contracts["vendor_id"],
        loaded.contracts["product_ids"],
        strict=True,
    )
    for contract, its_vendor, products in rows:
        if its_vendor == vendor and product in products:
            return str(contract)
    raise ContractError(f"no contract of vendor {vendor!r} for product {product!r} in this run")


def _find(run: Loaded, contract: str) -> One:
    ids = np.asarray(run.contracts["contract_id"], dtype=str)
    at = np.flatnonzero(ids == contract)
    if not len(at):
        near = difflib.get_close_matches(contract, ids.tolist(), 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; contracts.parquet lists them"
        raise ContractError(f"no contract {contract!r} in this run{hint}")
    row = {name: _to_the_cent(name, column[at[0]]) for name, column in run.contracts.items()}
    mine = np.asarray(run.plans["contract_id"], dtype=str) == contract
    bundle = bundle_of(run.contracts["product_ids"])
    moving = ("multiplicative", "roi", "roi_ex_post", "over", "under")
    return One(
        row=row,
        plans={name: column[mine] for name, column in run.plans.items()},
        others=int((bundle == bundle[at[0]]).sum()) - 1,
        currency=run.currency,
        first_week=str(run.facts.get("first_week") or ""),
        weeks=int(np.max(run.plans["week"], initial=-1)) + 1,
        tolerance=run.facts["settings"]["tolerance"],
        additive=not any(rule.get(name) for rule in run.facts["settings"]["fees"] for name in moving),
    )


def _to_the_cent(name: str, value: Any) -> Any:
    """Money as it is read out, so that sums and differences of what is said come out to the cent."""
    if name in _ROUNDED and np.isfinite(value):
        return round(float(value), 2)
    return value


def _title(one: One, names: Names) -> str:
    products = [names.of_product(product) for product in one.row["product_ids"]]
    what = f"product {products[0]}" if len(products) == 1 else (
        f"{count(len(products), 'product')} ({', '.join(products[:3])}{', ...' if len(products) > 3 else ''})"
    )  # fmt: skip
    together = (
        f" It is planned together with {count(one.others, 'other contract')} of the same products."
        if one.others
        else ""
    )
    vendor = names.of_vendor(one.row["vendor_id"])
    return f"Contract {one.row['contract_id']}: vendor {vendor}, {what}.{together}"


def _cells(one: One) -> list[tuple[str, float, float]]:
    """Where and when units arrive, and how many: just in time, and as carried out."""
    found: dict[tuple[int, str], list[float]] = {}
    plans = one.plans
    for week, node, jit, plan in zip(
        plans["week"].tolist(), plans["inbound_id"], plans["jit_units"], plans["plan_units"], strict=True
    ):
        cell = found.setdefault((week, str(node)), [0.0, 0.0])
        cell[0] += float(jit)
        cell[1] += float(plan)
    return [
        (f"at {node}" + (f" in {_week(one, week)}" if one.weeks > 1 else ""), jit, plan)
        for (week, node), (jit, plan) in sorted(found.items())
    ]


def _week(one: One, week: int) -> str:
    label = week_label(one.first_week, week)
    return f"the week of {label}" if one.first_week else label


def _just_in_time(one: One) -> str:
    cells = [(place, jit) for place, jit, _ in _cells(one) if jit > 0.0]
    total = sum(jit for _, jit in cells)
    if not cells:
        where = ""
    elif len(cells) <= SPELT:
        where = ": " + listing([f"{units(jit)} {place}" for place, jit in cells])
    else:
        nodes = len({str(node) for node in one.plans["inbound_id"]})
        where = f" at {count(nodes, 'inbound node')}" + (
            f" over {count(one.weeks, 'week')}" if one.weeks > 1 else ""
        )
    text = f"Just in time, {count_units(total)} arrive{'s' if units(total) == '1' else ''}{where}."
    both = one.row["retailer_cost_jit"] + one.row["supplier_cost_jit"]
    if np.isfinite(both):
        text += (
            f" That costs the retailer{_part(one)} {one.money('retailer_cost_jit')} and the vendor "
            f"{one.money('supplier_cost_jit')}, {one.amount(both)} together."
        )
    else:
        text += " That does not serve all demand that must be served, so it has no cost to compare with."
    if "can confirm" in one.row["reason"]:
        text += f" Of that order {one.row['reason'].rpartition('; ')[2]}."
    return text


def count_units(number: float) -> str:
    """`1 unit`, `12.5 units`."""
    return f"{units(number)} {'unit' if units(number) == '1' else 'units'}"


def _part(one: One) -> str:
    return ", for this vendor's share of the orders," if one.others else ""


def _accepted(one: One) -> list[str]:
    return [f"{_moves(one)} {_costs(one, 'costs')}", _paid(one), _keeps(one), _certain(one)]


def _moves(one: One) -> str:
    """Where the plan differs from just-in-time."""
    cells = _cells(one)
    changed = [cell for cell in cells if units(cell[1]) != units(cell[2])]
    if len(cells) <= SPELT:
        now = [f"{units(plan)} {place}{_more(plan - jit)}" for place, jit, plan in cells]
        return f"Under the plan it is {listing(now)}."
    moved = movement(one.plans, one.first_week)
    total = moved["units_jit"]
    share = f" ({percent(moved['moved'] / total)})" if total else ""
    ways = [
        f"{units(moved[key])} {where}"
        for key, where in (
            ("to_another_node", "at another inbound node"),
            ("to_another_week", "at the same node in another week"),
        )
        if units(moved[key]) != "0"
    ]
    text = f"Under the plan {units(moved['moved'])} of them{share} arrive elsewhere"
    text += f": {listing(ways)}." if ways else "."
    changed.sort(key=lambda cell: -abs(cell[2] - cell[1]))
    largest = [
        f"{units(abs(plan - jit))} {'more' if plan > jit else 'fewer'} {place}"
        for place, jit, plan in changed[:SPELT]
    ]
    if largest:
        text += f" The largest changes: {listing(largest)}."
    return text


def _more(change: float) -> str:
    if units(change) in ("0", "-0"):
        return " (as before)"
    return f" ({units(abs(change))} {'more' if change > 0 else 'fewer'})"


def _costs(one: One, verb: str) -> str:
    """What the offered plan costs each side, and what both gain."""
    row = one.row
    after = row["retailer_cost_plan"] + row["supplier_cost_plan"]
    before = row["retailer_cost_jit"] + row["supplier_cost_jit"]
    sides = [
        f"the {name} {money(row[f'{party}_cost_plan'], one.currency)}"
        f"{_difference(row[f'{party}_cost_plan'] - row[f'{party}_cost_jit'])}"
        for party, name in (("retailer", "retailer"), ("supplier", "vendor"))
    ]
    text = f"It {verb} {listing(sides)}, {one.amount(after)} together"
    if not np.isfinite(row["gain"]):
        return f"{text}."
    share = f", {percent(row['gain'] / before)} of what they spent just in time" if before > 0.0 else ""
    if abs((before - after) - row["gain"]) < _AS_SAID:
        return f"{text}: {one.amount(before - after)} less{share}."
    return f"{text}. Counting the margin on units sold, the two gain {one.money('gain')}{share}."


def _difference(change: float) -> str:
    if not np.isfinite(change):
        return ""
    if abs(change) < 0.005:
        return " (no change)"
    return f" ({money(abs(change))} {'more' if change > 0 else 'less'})"


def _made_of(one: One) -> str:
    """The two parts of a price, to the cent: what is left of it for the fee, unless that is whole cents."""
    whom = "the retailer and the other vendors" if one.others else "the retailer"
    price, transfer, fee = (round(float(one.row[name]), 2) for name in ("price", "cbt", "fee"))
    if abs(one.row["fee"] - fee) < 1e-6:
        transfer = price - fee
    else:
        fee = price - transfer
    said = f"and {one.amount(fee)} as the fee" if abs(fee) >= 0.005 else "and no fee"
    return f"{one.amount(transfer)} for what the change of plan costs {whom}, {said}"


def _paid(one: One) -> str:
    return f"The vendor pays {one.money('paid')}: {_made_of(one)}."


def _worth(row: dict[str, Any], party: str) -> float:
    """How much better off a side is with the offered plan than just in time, before payments, to the cent.

    Where both plans earn it the same, that is the difference of its costs as they were said.
    """
    worth = float(row[f"{party}_utility_plan"] - row[f"{party}_utility_jit"])
    saved = float(row[f"{party}_cost_jit"] - row[f"{party}_cost_plan"])
    return saved if abs(saved - worth) < _AS_SAID else round(worth, 2)


def _keeps(one: One) -> str:
    row = one.row
    vendor, retailer = (_worth(row, party) for party in ("supplier", "retailer"))
    paid = round(float(row["paid"]), 2)
    text = (
        f"Before paying, the vendor is {better_off(vendor, one.currency)} with the plan than just in time; "
        f"it pays {one.amount(paid)} and keeps {one.amount(vendor - paid)}."
    )
    if not np.isfinite(retailer):
        return text
    its = ", by this vendor's share of the orders," if one.others else ""
    left = better_off(retailer + paid, one.currency)
    return (
        f"{text} The retailer{its} is {better_off(retailer, one.currency)} with it, receives "
        f"{one.amount(paid)} and ends {left}."
    )


def _at_most(amount: float, one: One) -> str:
    return (
        "less than a cent" if amount < 0.01 else f"at most {one.currency} {bound(amount)}".replace("  ", " ")
    )


def _certain(one: One) -> str:
    gap, error = float(one.row["efficiency_gap"]), float(one.row["price_error"])
    whose = "to the contracts planned together" if one.others else "to the two together"
    if not one.additive:
        whose = "to the vendor at its price"
    text = f"What is certain: any other plan there is would be worth {_at_most(gap, one)} more {whose}"
    return (
        f"{text}, and with both sides' exact costs the price of this plan would differ by "
        f"{_at_most(error, one)}."
    )


def _declined(one: One) -> list[str]:
    row = one.row
    if row["reason"].startswith(WITHOUT):
        return [f"It takes no part: {row['reason'].partition('; the vendor can')[0]}. It pays nothing."]
    worth = _worth(row, "supplier")
    if not one.additive and abs(row["price"]) < 0.005 and abs(row["gain"]) < 0.005:
        lost = _at_most(float(row["efficiency_lost"] + row["lost_error"]), one)
        text = (
            "Under the fee no change of plan is worth its price to the vendor: just-in-time stands and "
            f"nothing is paid. What the two could have gained together is {lost}."
        )
        return [text]
    offer = (
        f"There was an offer. {_costs(one, 'would cost')} The price would have been {one.money('price')}: "
        f"{_made_of(one)}."
    )
    if worth > row["price"] or "another vendor" in row["reason"]:
        verdict = f"It is not carried out: {row['reason'].partition(';')[0]}. Nothing is paid."
    else:
        verdict = (
            f"To the vendor the plan is worth {one.amount(worth)}, less than its price: it declines, "
            f"just-in-time stands and nothing is paid."
        )
        if one.additive and worth > row["cbt"]:
            verdict += f" With a fee below {one.amount(worth - row['cbt'])} it would accept."
    return [offer, verdict, _certain(one)]


def _no_gain(one: One) -> list[str]:
    gap = _at_most(float(one.row["efficiency_gap"]), one)
    text = (
        f"That is already the best plan: any other there is would be worth {gap} more. Nothing changes and "
        f"nothing is paid."
    )
    return [text]


def _not_converged(one: One) -> list[str]:
    gap = float(one.row["efficiency_gap"])
    reach = (
        f"; the best plan found may be up to {one.currency} {bound(gap)} from the best"
        if np.isfinite(gap)
        else ""
    )
    text = (
        f"A better plan was looked for, and none could be certified to {asked(one.tolerance)} of its cost "
        f"within {count(int(one.row['rounds']), 'round')}{reach}. So just-in-time stands and nothing is "
        f"paid. Allow more rounds with --max-rounds, or a wider tolerance with --tolerance."
    )
    return [text]
