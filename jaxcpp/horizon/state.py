"""What one week leaves to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """Contracts at the start of a week [units], first axis the contract; weeks count from that week.

    A unit delivered before it is needed is *kept* for the demand it was delivered for, so that a
    payment for delivering it early is made once. What no demand takes is *spare*: anyone's.
    """

    spare: Numbers  # (lane, inbound) on hand, for nothing in particular
    kept: Numbers  # (lane, inbound, region, week) on hand, for a region's demand in a week
    backlog: Numbers  # (lane, region) demand of earlier weeks that is still to be served
    stock: Numbers  # (lane, source) built early, at the vendor
    record: Numbers  # (lane, public node) the plan of record; nothing in the window's last week
    price: Numbers  # (lane, public node) where the last search ended [currency / unit]; NaN: none yet
