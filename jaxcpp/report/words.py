"""What the figures of a run say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jaxcpp.report.numbers import asked, bound, count, money, percent, units

STATUS: Final = {
    "accepted": "accepted",
    "no_gain": "no gain",
    "declined": "declined",
    "not_converged": "not certified",
    "infeasible": "infeasible",
}
"""The statuses of `jaxcpp plan`, as people read them."""

MEANING: Final = {
    "accepted": "the vendor takes the offer and the new plan is carried out",
    "no_gain": "just-in-time is already the best plan",
    "declined": "the offer costs the vendor more than it gains: its orders stand, it pays nothing",
    "not_converged": "no certificate within the tolerance: just-in-time stands, nothing is paid",
    "infeasible": "no plan serves the demand that must be served",
}


def status(name: str) -> str:
    """A status as people read it; one that this page does not know, by its own name."""
    return STATUS.get(name, name.replace("_", " "))


def meaning(name: str) -> str:
    """What a status means."""
    return MEANING.get(name, "no plan is carried out; the reason is below")


def headline(document: Mapping[str, Any]) -> str:
    """The whole run in a few sentences."""
    parts = [_outcome(document), _gain(document), _paid(document), _certain(document)]
    return " ".join(part for part in parts if part)


def _outcome(document: Mapping[str, Any]) -> str:
    counts, total = document["status_counts"], document["contracts"]
    said = {
        "accepted": ("{} takes a new plan", "{} take a new plan"),
        "no_gain": ("for {} just-in-time is already the best", "for {} just-in-time is already the best"),
        "declined": ("{} declines", "{} decline"),
        "not_converged": ("{} is not certified", "{} are not certified"),
        "infeasible": ("{} is infeasible", "{} are infeasible"),
    }
    parts = [
        said[name][number != 1].format(f"{number:,d}") if name in said else f"{number:,d} {status(name)}"
        for name, number in counts.items()
        if number or name == "accepted"
    ]
    return f"Of {count(total, 'contract')}, {listing(parts)}."


def _gain(document: Mapping[str, Any]) -> str:
    currency, accepted = document["currency"], document["status_counts"]["accepted"]
    if not accepted:
        return "Every order stays as it is, and nothing is paid."
    share = document["gain_share"]
    of = (
        f" ({percent(share)} of a chain cost of {money(document['chain_cost_jit'], currency)})"
        if share is not None
        else ""
    )
    who = "Together they save" if accepted > 1 else "It saves"
    return f"{who} {money(document['gain'], currency)}{of}."


def _paid(document: Mapping[str, Any]) -> str:
    if not document["status_counts"]["accepted"]:
        return ""
    currency, parties = document["currency"], document["parties"]
    fee = document["fee"]
    beyond = f", and {money(fee, currency)} in fees" if abs(fee) >= 0.005 else ", and no fees"
    keeps = parties["retailer"]["keeps"]
    vendors = parties["supplier"]["keeps"]
    kept = (
        f"keep {money(vendors, currency)}" if vendors >= 0.0 else f"are {money(-vendors, currency)} worse off"
    )
    return (
        f"The vendors pay the retailer {money(document['cbt'], currency)} for what the change of plan costs "
        f"it{beyond}; after that they {kept}, and the retailer is {better_off(keeps, currency)}."
    )


def _certain(document: Mapping[str, Any]) -> str:
    found = document["certificates"]
    if not found["count"]:
        return ""
    worst, missing = found["currency"]["worst"], document["status_counts"]["not_converged"]
    who = "Every other plan" if missing else "Every plan"
    if missing:
        return f"{who} is certified to within {asked(found['tolerance'])} of its chain cost."
    at_most = f"{document['currency']} {bound(worst)}".strip()
    return (
        f"{who} is certified: none is further from the best there is than {at_most}, and none further than "
        f"{percent(found['relative']['worst'])} of its chain cost."
    )


def moves(document: Mapping[str, Any]) -> str:
    """What the plan does to units, in a sentence or two."""
    moved = document["movement"]
    total = moved["units_jit"]
    if not total:
        return "No units are ordered."
    text = (
        f"Of {units(total)} units ordered just in time, {units(moved['moved'])} "
        f"({percent(moved['moved'] / total)}) arrive elsewhere under the plan: "
        f"{units(moved['to_another_node'])} at another inbound node, "
        f"{units(moved['to_another_week'])} at the same node in another week."
    )
    net = moved["net"]
    if abs(net) > 1e-6 * total:
        more = "more" if net > 0 else "fewer"
        text += f" {units(abs(net))} {more} units are ordered in all."
    return text


def fees(rules: Sequence[Mapping[str, Any]]) -> str:
    """The fees that were asked for, in words."""
    if not rules:
        return "none"
    parts = []
    for rule in rules:
        whom = " ".join(f"{kind} {rule[kind]}" for kind in ("vendor", "product") if rule.get(kind))
        charges = []
        if rule.get("additive"):
            charges.append(f"{money(rule['additive'])} a contract")
        for name, words in (
            ("multiplicative", "of the transfer"),
            ("roi", "of the transfer (return on investment)"),
            ("roi_ex_post", "of the transfer (return on investment, once the plan is chosen)"),
        ):
            if rule.get(name):
                charges.append(f"{percent(rule[name])} {words}")
        for name, words in (("over", "above"), ("under", "below")):
            charge = rule.get(name)
            if isinstance(charge, Mapping):
                charges.append(f"a charge by inbound node for units {words} just-in-time")
            elif charge:
                charges.append(f"{charge:,.10g} for a unit {words} just-in-time")
        parts.append((f"{whom}: " if whom else "") + (listing(charges) or "none"))
    return "; ".join(parts)


def compared(document: Mapping[str, Any]) -> str:
    """How a run differs from the earlier one, in words."""
    found = document["against"]
    then, now = found["totals"]["then"], found["totals"]["now"]
    currency = document["currency"]
    came = [f"{count(found['in_both'], 'contract')} are in both runs"]
    if found["only_now"]:
        came.append(f"{found['only_now']:,d} only in this one")
    if found["only_then"]:
        came.append(f"{found['only_then']:,d} only in the earlier one")
    difference = now["gain"] - then["gain"]
    gained = (
        "The gain is the same"
        if abs(difference) < 0.005
        else f"The gain is {money(abs(difference), currency)} {'higher' if difference > 0 else 'lower'}"
    )
    plans = found["plans"]
    share = plans["units_changed"] / plans["units_then"] if plans["units_then"] else 0.0
    shift = plans["weeks_later"]
    weeks = (
        f" (this run starts {count(int(abs(shift)), 'week')} {'later' if shift > 0 else 'earlier'})"
        if shift
        else ""
    )
    return (
        f"{listing(came)}. {gained}. In the weeks that both plan{weeks}, plans of the same contracts "
        f"differ by {units(plans['units_changed'])} units, {percent(share)} of those planned before."
    )


def listing(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def rolled(document: Mapping[str, Any]) -> str:
    """A rolled fleet in a few sentences."""
    currency, weeks = document["currency"], document["weeks"]
    last, totals = weeks[-1], document["totals"]
    offers = document["contracts"] * len(weeks)
    gain = last["cumulative_gain"]
    text = (
        f"Over {count(len(weeks), 'week')}, {totals['accepted']:,.0f} of {count(offers, 'weekly offer')} "
        f"were accepted. Against the same weeks just in time, {count(document['contracts'], 'contract')} "
        f"{'gained' if gain >= 0 else 'lost'} {money(abs(gain), currency)} together: vendors "
        f"{better_off(last['cumulative_supplier_surplus'], currency)}, the retailer "
        f"{better_off(last['cumulative_retailer_gain'], currency)}. The vendors paid "
        f"{money(totals['paid'], currency)}, of which {money(totals['fee'], currency)} in fees."
    )
    if document["not_certified"]:
        text += f" {count(document['not_certified'], 'weekly plan is', 'weekly plans are')} not certified."
    return text


def better_off(amount: float, currency: str) -> str:
    """`USD 5.00 better off`; a fraction of a cent is no difference."""
    if abs(amount) < 0.005:
        return "as well off as before"
    return f"{money(abs(amount), currency)} {'better' if amount > 0.0 else 'worse'} off"
