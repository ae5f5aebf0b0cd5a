"""The picture of a tuned fee: what every fee brings, and which one was chosen. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from jaxcpp.fleet.tune import Tuned

MOST = 6
"""Groups that are drawn one by one; of more, only the sum."""


def draw(tuned: Tuned, currency: str, path: Path) -> None:
    """Write an SVG file, the same bytes for the same numbers."""
    names = list(tuned.groups["group"])
    fee = np.asarray(tuned.curve["fee"]).reshape(len(names), -1)[0]
    take = np.asarray(tuned.curve["take"]).reshape(len(names), -1)
    share = 100.0 * np.asarray(tuned.curve["participation"]).reshape(len(names), -1)
    drawn = names if len(names) <= MOST else []
    with mpl.rc_context({"svg.hashsalt": "jaxcpp", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        if len(drawn) != 1:
            above.plot(fee, take.sum(axis=0), color="0.4", label="one fee for all")
        for row, name in enumerate(drawn):
            above.plot(fee, take[row], label=name, color=f"C{row}")
            below.plot(fee, share[row], color=f"C{row}")
            for axes in (above, below):
                axes.axvline(tuned.groups["fee"][row], color=f"C{row}", linestyle=":", linewidth=1)
        above.set_title(f"fees taken [{currency}]; dotted: the fee chosen", loc="left", fontsize=10)
        below.set_title("contracts with a gain that accept [%]", loc="left", fontsize=10)
        below.set_xlabel(f"additive fee [{currency} / contract]")
        for axes in (above, below):
            axes.set_ylim(bottom=0.0)
        above.legend(fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})
