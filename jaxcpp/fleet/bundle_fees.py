"""Which fees each vendor of a bundle is charged, by the rules of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxcpp.fleet.bundle_pack import BundleLanes, Piece
from jaxcpp.fleet.bundles import Bundle, Bundles
from jaxcpp.fleet.contracts import CoupledContractsError
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.fees import Charges, by_node, rule_for
from jaxcpp.fleet.rules import FeeRule

OF_CONTRACTS = ("additive", "multiplicative", "roi", "roi_ex_post")
"""Fees on a vendor's one transfer for all its products of a bundle."""


def check_bundle_fees(rules: tuple[FeeRule, ...], fleet: Fleet, tied: Bundles) -> None:
    """Refuse fees by product on the one transfer that a vendor makes for several.

    Raises:
        CoupledContractsError: names the first such rule, the vendor, and what to say instead.
    """
    for rule in rules:
        named = [name for name in OF_CONTRACTS if getattr(rule, name)]
        if not rule.product or not named:
            continue
        for bundle in tied.items:
            for offer in bundle.offers.tolist():
                vendor, product = _names(fleet, offer)
                if product == rule.product and rule.vendor in ("", vendor) and _several(fleet, bundle, offer):
                    raise CoupledContractsError(
                        f"{' and '.join(named)} for product {rule.product!r}: vendor {vendor!r} makes one "
                        "transfer for all products that share its capacity, so only deviation can be charged "
                        "by product; put the others under the vendor, or under everyone"
                    )


def bundle_charges(
    rules: tuple[FeeRule, ...], fleet: Fleet, pieces: list[Piece], lanes: BundleLanes
) -> Charges:
    """The charges of some bundles, in the shape of their lanes.

    Fees on the transfer are those of the vendor's one product, or where it has several those that speak of
    no product; charges on deviations are looked up product by product.
    """
    count, products, slots = lanes.slot.shape
    inbound, weeks = lanes.outbound.shape[2], fleet.weeks
    alpha, rate, after = (np.zeros(lanes.here.shape) for _ in range(3))
    over, under = (np.zeros((count, products, slots, inbound * weeks)) for _ in range(2))
    for row, one in enumerate(pieces):
        nodes = np.full(inbound, -1, np.int32)
        nodes[: len(one.nodes)] = one.nodes
        place = {int(vendor): at for at, vendor in enumerate(one.bundle.vendors)}
        for product, offers in enumerate(one.slots):
            for slot, offer in enumerate(offers):
                names = _names(fleet, offer)
                rule = rule_for(rules, *names)
                over[row, product, slot] = by_node(rule.over, fleet, nodes)
                under[row, product, slot] = by_node(rule.under, fleet, nodes)
                if _several(fleet, one.bundle, offer):
                    rule = rule_for(rules, names[0], "")
                at = row, place[int(fleet.offers.vendor[offer])]
                alpha[at], after[at] = rule.additive, rule.roi_ex_post
                rate[at] = rule.multiplicative + rule.roi
    found = Charges(alpha, after, None, None, None)
    if any(rule.multiplicative or rule.roi for rule in rules):
        found = replace(found, rate=rate)
    if any(rule.over or rule.under for rule in rules):
        shape = (count, products, -1)
        found = replace(found, over=over.reshape(shape), under=under.reshape(shape))
    return found


def _names(fleet: Fleet, offer: int) -> tuple[str, str]:
    offers = fleet.offers
    return str(fleet.vendor_ids[offers.vendor[offer]]), str(fleet.product_ids[offers.product[offer]])


def _several(fleet: Fleet, bundle: Bundle, offer: int) -> bool:
    """Whether the vendor of an offer has other products in its bundle."""
    return bool((fleet.offers.vendor[bundle.offers] == fleet.offers.vendor[offer]).sum() > 1)
