"""Activity fees as price schedules: what a supplier pays on top of the cost-benefit transfer.

By the menu theorems a mechanism in which the supplier chooses from prices that do not depend on its
own report is truthful (arXiv:2605.16695 Theorems 1-3). A fee here is such a schedule.
"""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

from jaxcpp.agents.arrays import Numbers, floats


class AdditiveFee(eqx.Module):
    """A fixed fee for any deviation from just-in-time (section 4.2).

    The plan is the efficient one whatever the fee; only participation changes.

    Args:
        alpha: currency per contract.
    """

    alpha: Float[Array, ""]

    def __init__(self, alpha: Numbers = 0.0) -> None:
        (self.alpha,) = floats(alpha)

    def charge(self) -> Float[Array, ""]:
        """The fee for a plan other than just-in-time [currency]."""
        return self.alpha
