"""Activity fees as price schedules: what a supplier pays on top of the cost-benefit transfer.

By the menu theorems a mechanism in which the supplier chooses from prices that do not depend on its
own report is truthful (arXiv:2605.16695 Theorems 1-3). A fee here is such a schedule. Where it
prices plans apart, the supplier's best choice is no longer the plan that is best for both.
"""

from __future__ import annotations

import abc
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.arrays import Numbers, floats


class Schedule(eqx.Module):
    """The price of every plan `x` other than just-in-time, `x_A`.

    With `B(x) >= 0`, what `x` costs the retailer over just-in-time (its transfer), the price is

        B(x) + alpha + (rate + after) B(x) + sum over (x - x_A)+ + under (x_A - x)+

    The plan is chosen as if `after` were nothing: it is charged on the plan once chosen. What is None
    is known to be nothing before any number is, so that no program is compiled for it.
    """

    alpha: Float[Array, ""]  # currency
    after: Float[Array, ""]
    rate: Float[Array, ""] | None = None
    over: Float[Array, " n"] | None = None  # currency / unit, by public node
    under: Float[Array, " n"] | None = None

    @property
    def distorts(self) -> bool:
        """Whether the supplier's best choice may be another than the efficient plan."""
        return self.rate is not None or self.over is not None

    def weight(self) -> Float[Array, ""]:
        """How much of the retailer's cost the supplier minds when it chooses: 1 for all of it, once."""
        return jnp.ones_like(self.alpha) + (0.0 if self.rate is None else self.rate)

    def slope(self) -> Float[Array, ""]:
        """Change of the price with the transfer of the plan chosen."""
        return self.weight() + self.after

    def deviation(self, plan: Float[Array, " n"], order: Float[Array, " n"]) -> Float[Array, ""]:
        """The part charged on units away from just-in-time [currency]; both plans in units."""
        if self.over is None or self.under is None:
            return jnp.zeros_like(self.alpha)
        more, less = jnp.maximum(plan - order, 0.0), jnp.maximum(order - plan, 0.0)
        return jnp.vdot(self.over, more) + jnp.vdot(self.under, less)

    def charge(
        self, cbt: Float[Array, ""], plan: Float[Array, " n"], order: Float[Array, " n"]
    ) -> Float[Array, ""]:
        """The fee for a plan with transfer `cbt` [currency]; both plans in units."""
        return self.alpha + (self.slope() - 1.0) * cbt + self.deviation(plan, order)


class Fee(eqx.Module):
    """A fee, or a sum of fees: `AdditiveFee(50.0) + MultiplicativeFee(0.1)`."""

    @abc.abstractmethod
    def schedule(self, inbound: int, weeks: int) -> Schedule:
        """The prices it makes for plans over so many inbound nodes and weeks."""

    def __add__(self, other: Fee) -> SumFee:
        return SumFee(self, other)


class AdditiveFee(Fee):
    """A fixed fee for any deviation from just-in-time (section 4.2).

    The plan is the efficient one whatever the fee; only participation changes.

    Args:
        alpha: currency per contract.
    """

    alpha: Float[Array, ""]

    def __init__(self, alpha: Numbers = 0.0) -> None:
        (self.alpha,) = floats(alpha)

    def schedule(self, inbound: int, weeks: int) -> Schedule:
        """The same charge for every plan."""
        del inbound, weeks
        return Schedule(self.alpha, jnp.zeros_like(self.alpha))


class MultiplicativeFee(Fee):
    """A share of the transfer, charged for every plan on offer: the choice leans to just-in-time.

    Args:
        beta: of the transfer, at least 0.

    Source: arXiv:2605.16695 section 4.
    """

    beta: Float[Array, ""]

    def __init__(self, beta: Numbers = 0.0) -> None:
        (self.beta,) = floats(beta)

    def schedule(self, inbound: int, weeks: int) -> Schedule:
        """The supplier minds the retailer's cost `1 + beta` times."""
        del inbound, weeks
        zero = jnp.zeros_like(self.beta)
        return Schedule(zero, zero, rate=self.beta)


class RoiFee(Fee):
    """A return on what the retailer lays out, `rate * |transfer|`.

    Just-in-time is the retailer's best plan, so the transfer is never negative. On the schedule
    (`allocation="schedule"`) the fee is known before the supplier chooses: truthful. With
    `allocation="efficient"` it is charged afterwards on the plan that is best for both: the first best,
    but a supplier may gain by a lie that leads to a plan with a smaller transfer.

    Args:
        rate: of the transfer, at least 0.
        allocation: which plan the fee is charged on.

    Source: arXiv:2605.16695 section 4.
    """

    rate: Float[Array, ""]
    allocation: Literal["schedule", "efficient"] = eqx.field(static=True)

    def __init__(
        self, rate: Numbers = 0.0, allocation: Literal["schedule", "efficient"] = "schedule"
    ) -> None:
        if allocation not in ("schedule", "efficient"):
            raise ValueError(f"RoiFee: allocation must be 'schedule' or 'efficient'; got {allocation!r}")
        (self.rate,) = floats(rate)
        self.allocation = allocation

    def schedule(self, inbound: int, weeks: int) -> Schedule:
        """As a share of the transfer, before or after the choice."""
        del inbound, weeks
        zero = jnp.zeros_like(self.rate)
        if self.allocation == "efficient":
            return Schedule(zero, self.rate)
        return Schedule(zero, zero, rate=self.rate)


class DeviationFee(Fee):
    """A charge for every unit above and below just-in-time (section 4.3, eq. 7): plans stay nearer to it.

    Args:
        over: currency / unit above the just-in-time order: a number, (inbound,) or (inbound, week).
        under: currency / unit below it, likewise; the paper has `0 <= under <= over`.
    """

    over: Float[Array, ...]
    under: Float[Array, ...]

    def __init__(self, over: Numbers = 0.0, under: Numbers = 0.0) -> None:
        self.over, self.under = floats(over, under)

    def schedule(self, inbound: int, weeks: int) -> Schedule:
        """Both charges by public node.

        Raises:
            ValueError: a charge has another shape than the plan.
        """
        over, under = (_by_node(charge, inbound, weeks) for charge in (self.over, self.under))
        zero = jnp.zeros((), over.dtype)
        return Schedule(zero, zero, over=over, under=under)


class SumFee(Fee):
    """Several fees at once: the charges of a plan add up."""

    parts: tuple[Fee, ...]

    def __init__(self, *parts: Fee) -> None:
        self.parts = parts

    def schedule(self, inbound: int, weeks: int) -> Schedule:
        """The sum of the parts' schedules."""
        each = [part.schedule(inbound, weeks) for part in self.parts]
        zero = floats(0.0)[0]
        return Schedule(
            alpha=sum((part.alpha for part in each), zero),
            after=sum((part.after for part in each), zero),
            rate=_total([part.rate for part in each]),
            over=_total([part.over for part in each]),
            under=_total([part.under for part in each]),
        )


def _by_node(charge: Float[Array, ...], inbound: int, weeks: int) -> Float[Array, " n"]:
    wide = charge[:, None] if charge.ndim == 1 else charge
    if wide.ndim > 2 or any(
        have not in (1, want) for have, want in zip(wide.shape, (inbound, weeks), strict=False)
    ):
        raise ValueError(
            f"DeviationFee: charges must be a number, (inbound,) or (inbound, week) = ({inbound}, {weeks}); "
            f"got {charge.shape}"
        )
    return jnp.broadcast_to(wide, (inbound, weeks)).reshape(-1)


def _total(values: list[Array | None]) -> Array | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None
