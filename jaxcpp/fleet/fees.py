"""Which fee each contract of a fleet is charged, by its rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.contracts import Contracts, Index
from jaxcpp.fleet.data import Fleet, Floats, Ints
from jaxcpp.fleet.rules import EVERY_NODE, Charge, FeeError, FeeRule


@dataclass(frozen=True)
class Charges:
    """The fees of some contracts: first axis the lane; None where no rule of the run charges any.

    Of bundles, the second axis is the vendor, and public nodes are (product, node).
    """

    alpha: Floats
    after: Floats
    rate: Floats | None
    over: Floats | None  # (lane, public node)
    under: Floats | None

    @property
    def distorts(self) -> bool:
        """Whether some rule of the run moves plans."""
        return self.rate is not None or self.over is not None

    @property
    def share(self) -> Floats:
        """What is charged of a transfer in all."""
        return self.after if self.rate is None else self.after + self.rate

    @property
    def distorted(self) -> Index:
        """Lanes whose best plan on the schedule may be another than the efficient one."""
        moved = np.zeros(len(self.alpha), bool)
        if self.rate is not None:
            moved |= _any(self.rate)
        if self.over is not None and self.under is not None:
            moved |= _any(self.over) | _any(self.under)
        return np.flatnonzero(moved)


def free(count: int) -> Charges:
    """No fees for so many contracts."""
    return Charges(np.zeros(count), np.zeros(count), None, None, None)


class Names(Protocol):
    """What fees may speak of: a fleet, or all that is known of a larger one."""

    @property
    def weeks(self) -> int: ...  # noqa: D102
    @property
    def vendor_ids(self) -> Any: ...  # noqa: D102
    @property
    def product_ids(self) -> Any: ...  # noqa: D102
    @property
    def inbound_ids(self) -> Any: ...  # noqa: D102


def check_fees(rules: tuple[FeeRule, ...], fleet: Names) -> None:
    """Refuse rules that speak of vendors, products, inbound nodes or weeks the fleet does not have.

    Raises:
        FeeError: names the key of the first such rule.
    """
    for rule in rules:
        where = _key(rule)
        if rule.vendor and rule.vendor not in fleet.vendor_ids:
            raise FeeError(f"{where[:-1]}: the fleet has no vendor {rule.vendor!r}")
        if rule.product and rule.product not in fleet.product_ids:
            raise FeeError(f"{where[:-1]}: the fleet has no product {rule.product!r}")
        for name, charge in (("over", rule.over), ("under", rule.under)):
            if not isinstance(charge, Mapping):
                continue
            for node, amount in charge.items():
                if node != EVERY_NODE and node not in fleet.inbound_ids:
                    raise FeeError(f"{where}deviation.{name}: the fleet has no inbound node {node!r}")
                if isinstance(amount, tuple) and len(amount) != fleet.weeks:
                    raise FeeError(
                        f"{where}deviation.{name}.{node}: {len(amount)} charges for {fleet.weeks} weeks"
                    )


def charges(
    rules: tuple[FeeRule, ...], fleet: Fleet, found: Contracts, contract: Index, nodes: Ints
) -> Charges:
    """The charges of some contracts; `nodes` (lane, inbound) are their inbound nodes' positions or -1."""
    vendors, products = fleet.vendor_ids[found.vendor[contract]], fleet.product_ids[found.product[contract]]
    chosen = [rule_for(rules, str(v), str(p)) for v, p in zip(vendors, products, strict=True)]
    weighs = any(rule.multiplicative or rule.roi for rule in rules)
    deviates = any(rule.over or rule.under for rule in rules)
    numbers = np.asarray(
        [(r.additive, r.multiplicative + r.roi, r.roi_ex_post) for r in chosen], np.float64
    ).reshape(-1, 3)
    over = under = None
    if deviates:
        over, under = (
            np.stack([by_node(charge, fleet, row) for charge, row in zip(side, nodes, strict=True)])
            for side in ([r.over for r in chosen], [r.under for r in chosen])
        )
    return Charges(numbers[:, 0], numbers[:, 2], numbers[:, 1] if weighs else None, over, under)


def _key(rule: FeeRule) -> str:
    parts = ("vendor", rule.vendor), ("product", rule.product)
    return "".join(f"{name}.{value}." for name, value in parts if value)


def rule_for(rules: tuple[FeeRule, ...], vendor: str, product: str) -> FeeRule:
    """The most particular rule that speaks of a vendor's product; no fee where none does."""
    fitting = [
        rule for rule in rules if rule.vendor in ("", vendor) and rule.product in ("", product)
    ]  # fmt: skip
    return max(fitting, key=lambda rule: (bool(rule.vendor), bool(rule.product)), default=FeeRule())


def by_node(charge: Charge, fleet: Fleet, nodes: NDArray[np.int32]) -> Floats:
    """(inbound * week,) currency / unit; nothing at padded nodes."""
    table = np.zeros((len(nodes), fleet.weeks))
    for row, node in enumerate(nodes):
        if node < 0:
            continue
        if isinstance(charge, Mapping):
            table[row] = charge.get(str(fleet.inbound_ids[node]), charge.get(EVERY_NODE, 0.0))
        else:
            table[row] = charge
    return table.reshape(-1)


def _any(charge: Floats) -> NDArray[np.bool_]:
    """Lanes that are charged something."""
    return np.asarray((charge.reshape(len(charge), -1) > 0.0).any(axis=1))
