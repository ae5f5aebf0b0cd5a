"""The picture of a tuned fee: what every fee of the grid brings, and which was chosen. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from jaxcpp.cli.fees import LABELS

if TYPE_CHECKING:
    from jaxcpp.fleet.tune import Tuned
    from jaxcpp.fleet.worlds import Number

MOST = 6
"""Groups that are drawn one by one; of more, only the sum."""


def draw(tuned: Tuned, numbers: tuple[Number, ...], currency: str, path: Path) -> None:
    """Write an SVG file, the same bytes for the same numbers. One column a number of the fee.

    Where there are several, a point is the best of the grid's fees with that number.
    """
    with mpl.rc_context({"svg.hashsalt": "jaxcpp", "svg.fonttype": "none"}):
        figure = Figure(figsize=(3.0 + 4.0 * len(numbers), 6), layout="constrained")
        panels = figure.subplots(2, len(numbers), sharex="col", sharey="row", squeeze=False)
        for column, number in enumerate(numbers):
            _column(panels[:, column], tuned, column, number)
            panels[1, column].set_xlabel(LABELS[number].format(currency))
        panels[0, 0].set_title(
            f"fees taken on the draws tuned on [{currency}]; dotted: the fee chosen", loc="left", fontsize=10
        )
        panels[1, 0].set_title("contracts with a gain that accept [%]", loc="left", fontsize=10)
        panels[0, 0].legend(fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _column(panels: Any, tuned: Tuned, column: int, number: Number) -> None:
    """Take and participation against one number of the fee."""
    names = list(tuned.groups["group"])
    fee, take, share = (
        np.asarray(tuned.curve[name]).reshape(len(names), -1) for name in (number, "take", "participation")
    )
    chosen = np.asarray(tuned.fees["fee"]).reshape(len(names), -1)[:, column]
    values, at = np.unique(fee[0], return_inverse=True)
    above, below = panels
    mark = {"marker": "o", "markersize": 3} if len(fee[0]) <= 30 else {}

    def best(amounts: np.ndarray) -> np.ndarray:
        """The fee of the grid that takes most, for each value of the number."""
        groups = [np.flatnonzero(at == value) for value in range(len(values))]
        return np.asarray([group[np.argmax(amounts[group])] for group in groups])

    drawn = names if len(names) <= MOST else []
    if len(drawn) != 1:
        total = take.sum(axis=0)
        above.plot(values, total[best(total)], color="0.4", label="one fee for all", **mark)
    for row, name in enumerate(drawn):
        most = best(take[row])
        above.plot(values, take[row][most], label=name, color=f"C{row}", **mark)
        below.plot(values, 100.0 * share[row][most], color=f"C{row}", **mark)
        for axes in (above, below):
            axes.axvline(chosen[row], color=f"C{row}", linestyle=":", linewidth=1)
    for axes in (above, below):
        axes.set_ylim(bottom=0.0)
