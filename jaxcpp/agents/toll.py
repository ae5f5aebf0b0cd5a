"""What a plan is charged for leaving a baseline: a third agent of the protocol, with nothing to hide.

    charge(x) = sum over (x - baseline)+ + under (baseline - x)+          (arXiv:2605.16695 eq. 7)

Seen as transport: the baseline's units are used, or left unused at `under`; of further units there are
as many as anybody could take, at `over`. Both are choices between two options, smoothed by entropy like
every other choice of the two parties.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.protocol import Response


class Toll(eqx.Module):
    """A separable charge, in the contract's scaled units. `most` is above any plan, node by node."""

    baseline: Float[Array, " n"]  # units
    over: Float[Array, " n"]  # currency / unit
    under: Float[Array, " n"]  # currency / unit
    most: Float[Array, " n"]  # units; 0 at a closed node

    def charge(self, plan: Float[Array, " n"]) -> Float[Array, ""]:
        """What a plan is charged [currency]."""
        return jnp.sum(self.by_node(plan))

    def by_node(self, plan: Float[Array, " n"]) -> Float[Array, " n"]:
        """`charge`, node by node."""
        apart = plan - self.baseline
        return self.over * jnp.maximum(apart, 0.0) + self.under * jnp.maximum(-apart, 0.0)

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """The plan with the least charge plus `price @ x`, smoothed."""
        seen = self.answer(price, epsilon)
        return eqx.tree_at(lambda r: r.slope, seen, jnp.diag(seen.slope))

    def answer(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """As `respond`, its slope a diagonal (n,): each node is charged on its own."""
        kept = _either(self.baseline, price - self.under, epsilon)
        more = _either(self.most, price + self.over, epsilon)
        # `kept.value` with what is charged for keeping nothing added: a high charge would swallow the rest.
        least = price - epsilon * jax.nn.softplus((price - self.under) / epsilon)
        value = jnp.vdot(self.baseline, least) + more.value
        return Response(
            value=value, bias=kept.bias + more.bias, bound=self.bound(price), plan=kept.used + more.used,
            slope=kept.bend + more.bend, drift=kept.drift + more.drift, spend=jnp.zeros_like(value),
        )  # fmt: skip

    def bound(self, price: Float[Array, " n"]) -> Float[Array, ""]:
        """Least charge plus `price @ x` over all plans `0 <= x <= baseline + most`, exactly."""
        kept = jnp.vdot(self.baseline, jnp.minimum(price, self.under))
        return kept + jnp.vdot(self.most, jnp.minimum(price + self.over, 0.0))

    def nearest(
        self, wanted: Float[Array, " n"], rho: Float[Array, ""]
    ) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
        """`argmin charge(x) + rho/2 |x - wanted|^2`, and where it moves with `wanted`."""
        above, below = wanted - self.over / rho, wanted + self.under / rho
        moves = (above > self.baseline) | (below < self.baseline)
        beyond = jnp.where(below < self.baseline, below, self.baseline)
        return jnp.where(above > self.baseline, above, beyond), moves


class _Choice(eqx.Module):
    value: Float[Array, ""]
    bias: Float[Array, ""]
    used: Float[Array, " n"]
    bend: Float[Array, " n"]
    drift: Float[Array, " n"]


def _either(units: Float[Array, " n"], cost: Float[Array, " n"], epsilon: Float[Array, ""]) -> _Choice:
    """Units that are used at `cost` each or not at all, smoothed."""
    pull = -cost / epsilon
    chance, softened = jax.nn.sigmoid(pull), jax.nn.softplus(pull)
    bend = units * chance * (1.0 - chance) / epsilon
    return _Choice(
        value=-epsilon * jnp.vdot(units, softened),
        bias=epsilon * jnp.vdot(units, softened - pull * chance),
        used=units * chance,
        bend=bend,
        drift=-bend * pull,
    )
