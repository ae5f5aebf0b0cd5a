"""How a fleet is to be solved, and what is told on the way. No JAX: the CLI builds these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxcpp.fleet.rules import FeeRule

Method = Literal["newton", "admm"]
Units = Literal["continuous", "integer"]

METHODS: tuple[Method, ...] = ("newton", "admm")
Absent = Literal["jit", "excluded"]
"""What a vendor delivers that stays out of the mechanism while others take part."""
JustInTime = Literal["obliged", "voluntary"]
"""Without a contract a vendor fills every order that its capacity allows, or what of it suits it best."""
UNITS: tuple[Units, ...] = ("continuous", "integer")


@dataclass(frozen=True)
class Settings:
    """What `jaxcpp plan` can be told about the solve.

    `tolerance` is the certified efficiency gap asked for, as a fraction of a contract's chain
    cost; `fees` are charged to the vendors (see `fleet.fees`).
    """

    fees: tuple[FeeRule, ...] = ()
    tolerance: float = 1e-5
    method: Method = "newton"
    units: Units = "continuous"
    flows: bool = False
    max_rounds: int | None = None  # None: the method's own limit
    absent: Absent = "jit"  # products of several vendors: what one that stays out delivers
    just_in_time: JustInTime = "obliged"
    batch: int | None = None  # lanes solved together; None: chosen by problem size


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    total: int  # contracts
    done: int
    certified: int  # of those done: within the tolerance
    worst_gap: float  # largest certified gap so far, relative to chain cost


OnProgress = Callable[[Progress], None]
