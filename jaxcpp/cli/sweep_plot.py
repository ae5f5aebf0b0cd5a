"""The picture of a sweep: prices, acceptance and efficiency lost against the fee. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from jaxcpp.cli.fees import LABELS


def draw(totals: dict[str, list[Any]], fee: str, currency: str, path: Path) -> None:
    """Write an SVG file, the same bytes for the same numbers; `fee` is the number the grid is of."""
    share = [100.0 * a / max(b, 1) for a, b in zip(totals["accepted"], totals["contracts"], strict=True)]
    panels = {
        f"prices of all offers, and what is paid [{currency}]": {
            "offered": totals["price"], "paid": totals["paid"], "of it fees": totals["fees_paid"],
        },
        "contracts accepted [%]": {"": share},
        f"efficiency lost [{currency}]": {"": totals["efficiency_lost"]},
    }  # fmt: skip
    with mpl.rc_context({"svg.hashsalt": "jaxcpp", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 8), layout="constrained")
        for axes, (name, lines) in zip(
            figure.subplots(len(panels), 1, sharex=True), panels.items(), strict=True
        ):
            for label, values in lines.items():
                axes.plot(totals["fee_value"], values, marker="o", markersize=3, label=label)
            axes.set_title(name, loc="left", fontsize=10)
            axes.set_ylim(bottom=0.0)
            if len(lines) > 1:
                axes.legend(fontsize=8)
        axes.set_xlabel(LABELS[fee].format(currency))
        figure.savefig(path, format="svg", metadata={"Date": None})
