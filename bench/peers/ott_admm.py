"""OTT-JAX inside the same ADMM: agents whose best responses are a fixed number of its Sinkhorn sweeps.

Protocol, smoothing and certificate are jaxcpp's. An answer is the generalized Sinkhorn algorithm of Chizat,
Peyré, Schmitzer and Vialard (2018): OTT's geometry does both half-sweeps, and the public marginal, held near
the proposal by `rho / 2 |x - z|^2`, has a scaling step in closed form. An answer begins at the last one.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ott.geometry.geometry import Geometry

from bench.cases import Floats, Instances
from bench.peers.answers import Answer, main
from bench.peers.clock import clocked
from bench.peers.jaxcpp_batch import bucket_of, settle_backend
from bench.peers.wright import log_omega
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.consensus.solve import solve
from jaxcpp.fleet import store
from jaxcpp.fleet.pack import Lanes
from jaxcpp.fleet.programs import parties
from jaxcpp.transport.proximal import Memory

SWEEPS = 100
"""Of both marginals, in every answer: of 30, 50, 70 and 100 the fewest with which all of 256 contracts of
size S and 128 of size M are certified; a coordinator that learns from answers is misled by inexact ones."""
MOST_ROUNDS = 800
AT_ONCE = 4
"""Contracts of a batch, of 4, 8, 16 and 32 the fastest: none ends before its batch's slowest."""
CLOSED = 1e3
"""Scaled cost of a lane that is not there: OTT's costs are finite."""


class SinkhornAgent(TransportAgent):
    """A party that answers by a fixed number of sweeps."""

    def best_response(
        self,
        price: Float[Array, " n"],
        proposal: Float[Array, " n"],
        rho: Float[Array, ""],
        epsilon: Float[Array, ""],
        memory: Memory,
        accuracy: Float[Array, ""],  # noqa: ARG002  (the sweeps are counted instead)
    ) -> tuple[Float[Array, " n"], Memory]:
        """The plan after the last sweep, nearly `argmin cost(x) + price @ x + rho/2 |x - proposal|^2`."""
        side = self.side
        lanes = jnp.minimum(jnp.concatenate([side.cost, side.outside[None, :]]), CLOSED)
        geometry: Any = Geometry(cost_matrix=lanes, epsilon=epsilon)
        mass = jnp.log(jnp.maximum(side.mass, 1e-300))
        bend = epsilon / rho

        def reach(inner: Float[Array, " n"]) -> Float[Array, " n"]:
            """Logarithm of what each node would ship at a price of nought, once every column is full."""
            ours = jnp.append(-inner, 0.0)
            theirs = geometry.update_potential(ours, jnp.zeros_like(mass), mass, axis=0)
            return geometry.apply_lse_kernel(ours, theirs, epsilon, axis=1)[0][:-1] / epsilon

        def sweep(_: int, inner: Float[Array, " n"]) -> Float[Array, " n"]:
            # The plan exp(y) is what the quadratic leaves at that price: exp(y) + bend y = known.
            logarithm = reach(inner)
            known = (proposal - price / rho) / bend + logarithm
            y = jnp.log(bend) + log_omega(known - jnp.log(bend))
            return epsilon * (logarithm - y)

        inner = jax.lax.fori_loop(0, SWEEPS, sweep, memory.price)
        # Of both marginals the private one is kept: a plan that sums to the demand can be lived with.
        return jnp.exp(reach(inner) - inner / epsilon), Memory(inner, memory.rounds + SWEEPS)


def consensus(lane: Lanes, tolerance: Float[Array, ""]) -> tuple[Outcome, Float[Array, ""]]:
    """One contract, certified or out of rounds, and the currency of its scaled costs."""
    retailer, vendor, terms = parties(lane)
    buys, ships = (
        SinkhornAgent(a.side, a.lost_margin, a.unit_margin, a.must_serve)
        for a in (retailer.agent(terms), vendor.agent(terms))
    )
    return solve(buys, ships, tolerance, "admm", MOST_ROUNDS), terms.money * terms.volume


def run(instances: Instances, tolerance: float, repeats: int, variant: str) -> Answer:  # noqa: ARG001
    """All contracts as one batch on JAX's first device, in float64."""
    settle_backend()
    device = jax.devices()[0]
    batched = jax.jit(jax.vmap(consensus, in_axes=(0, None)))
    accuracy = jnp.asarray(tolerance)
    count = len(instances)
    size = min(AT_ONCE, count)

    def in_batches(lanes: Lanes) -> tuple[Outcome, Floats]:
        """Every contract's outcome on the host; the last batch is filled up with its own."""
        firsts = range(0, count, size)
        chosen = [np.resize(np.arange(first, min(first + size, count)), size) for first in firsts]
        parts = [jax.device_get(batched(store.take(lanes, index), accuracy)) for index in chosen]
        joined: tuple[Outcome, Floats] = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
        return joined

    clock = clocked(lambda: store.place(bucket_of(instances).lanes), in_batches, repeats)
    found, currency = clock.found
    cost = np.asarray(found.cost * currency)
    return Answer(
        cost.tolist(),
        clock.build,
        clock.solve,
        device=f"{device.platform} {device.device_kind}",
        versions={"ott-jax": importlib.metadata.version("ott-jax"), "jax": jax.__version__},
        accuracy=f"{SWEEPS} sweeps an answer, certified to {tolerance:g} or {MOST_ROUNDS} rounds",
        platform=device.platform,
        compile=clock.compile,
        certified=np.asarray(found.gap / found.spend).tolist(),
        unbalanced=np.asarray(found.missing).tolist(),
        rounds=np.asarray(found.rounds).tolist(),
    )


if __name__ == "__main__":
    main(run)
