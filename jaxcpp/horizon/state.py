"""What one week leaves to the next."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float


class State(eqx.Module):
    """One contract at the start of a week [units]; weeks count from that week.

    A unit delivered before it is needed is *kept* for the demand it was delivered for, so that a
    payment for delivering it early is made once. What no demand takes is *spare*: anyone's.
    """

    spare: Float[Array, " i"]  # on hand at inbound nodes, for nothing in particular
    kept: Float[Array, "i r t"]  # on hand at inbound nodes, for a region's demand in a week
    backlog: Float[Array, " r"]  # demand of earlier weeks that is still to be served
    stock: Float[Array, " k"]  # built early, at the vendor's sources
    record: Float[Array, " n"]  # the plan of record, public nodes; nothing in the window's last week
    price: Float[Array, " n"]  # where the last plan's price ended [currency / unit]; NaN: none yet
