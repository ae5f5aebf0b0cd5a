"""A fleet's contracts in batches, each one function of its numbers and fees, to be differentiated.

`plan_fleet` runs batches from the host, where lanes come and go. Here a whole batch is one function of JAX:
`jit`, `grad`, `jvp` and `vmap` go through it, for as many lanes as are given.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from numpy.typing import NDArray

from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.data import Fleet, Ints
from jaxcpp.fleet.fees import Charges, charges, check_fees
from jaxcpp.fleet.pack import Lanes, Packer
from jaxcpp.fleet.programs import as_they_are, smoothed
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.mechanism.contract import Contract


class Batch(NamedTuple):
    """Contracts of one shape, first axis the lane: what `contracts_of` takes, and whose numbers they are.

    Positions are among the fleet's inbound nodes, regions and sources, -1 where a lane is padded: what is
    padded has no lanes and no units, and a derivative with respect to it says nothing.
    """

    ids: NDArray[Any]
    lanes: Lanes
    fees: Charges
    nodes: Ints  # (lane, inbound)
    region: Ints  # (lane, column)
    source: Ints  # (lane, source)


def batches(fleet: Fleet, rules: tuple[FeeRule, ...] = ()) -> list[Batch]:
    """All contracts of a fleet, in as few batches as they have shapes.

    Raises:
        CoupledContractsError: some products share capacity or have several vendors: there are no derivatives
            of contracts that are planned together.
        FeeError: a fee speaks of something that the fleet does not have.
    """
    found = contracts_alone(fleet)
    check_fees(rules, fleet)
    return [
        Batch(
            found.ids[one.contract], one.lanes, charges(rules, fleet, found, one.contract, one.nodes),
            one.nodes, one.region, one.source,
        )
        for one in Packer(fleet, found).buckets()
    ]  # fmt: skip


def contracts_of(
    lanes: Lanes, fees: Charges, *, smoothing: ArrayLike | None = None, tolerance: float = 1e-6
) -> Contract:
    """Every lane's contract, first axis the lane; its plans are flat vectors of public nodes.

    Args:
        lanes: a batch's lanes, or some of them.
        fees: what each is charged.
        smoothing: above 0 [currency / unit], one number for all; by default none (see `coordinate`).
        tolerance: certified efficiency gap without smoothing, as a fraction of chain cost.
    """
    if smoothing is None:
        one = partial(as_they_are, tolerance=jnp.asarray(tolerance))
    else:
        one = partial(smoothed, smoothing=jnp.asarray(smoothing, float))
    return jax.vmap(one)(lanes, fees)
