"""The private transport plans behind the plans carried out, as rows (`--flows`).

These are each party's own business: they are written only on request, for a platform that runs both
sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcpp.fleet.batch import Solved, in_batches, lanes_per_batch, rows
from jaxcpp.fleet.contracts import Contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings

DUST = 1e-9
"""Of a contract's volume: flows below this are rounding."""

NONE = ""
"""In `to_id` or `from_id`: not shipped from or to anywhere (lost sales, leftovers, stock kept)."""
