"""Draw rolled fleets: gain, payments and churn, week by week and in sum; a column for each forecast.

    python -m examples.plot_roll out.png RUN [RUN ...]

Needs matplotlib, which jaxcpp itself does not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SERIES = {
    "gain": "realized gain of the week [{}]",
    "cumulative_gain": "gain so far, with what the states left are worth [{}]",
    "moved": "cost-benefit transfers and fees that vendors pay, and settlements [{}]",
    "churn": "churn of the week [units]",
}


def read(folder: Path) -> tuple[str, str, str, dict[str, list[Any]]]:
    """A roll's forecast, what binds in it, its currency, and the columns of its summary."""
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    asked, rows = document["settings"], document["weeks"]
    known = f"trailing {asked['trailing']} weeks" if asked["forecast"] == "trailing" else asked["forecast"]
    binds = "one week binds" if asked["commit"] == 1 else f"{asked['commit']} weeks bind"
    for row in rows:
        row["moved"] = row["paid"] + row["settled"]
    return (
        known,
        binds,
        document["currency"],
        {name: [row[name] for row in rows] for name in ("week", *SERIES)},
    )


def main(arguments: list[str] | None = None) -> None:
    """Read the rolls and write the picture."""
    parser = argparse.ArgumentParser(description="Draw rolled fleets, a column for each forecast.")
    parser.add_argument("picture", type=Path, help="file to write, .png or .svg")
    parser.add_argument("runs", type=Path, nargs="+", help="folders that jaxcpp roll wrote")
    options = parser.parse_args(arguments)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        parser.error("this needs matplotlib: pip install matplotlib")
    rolls = [read(folder) for folder in options.runs]
    forecasts = list(dict.fromkeys(roll[0] for roll in rolls))
    styles = {binds: f"C{at}" for at, binds in enumerate(dict.fromkeys(roll[1] for roll in rolls))}
    figure = Figure(figsize=(5 * len(forecasts), 10), layout="constrained")
    panels = figure.subplots(len(SERIES), len(forecasts), sharex=True, squeeze=False)
    for known, binds, _, columns in rolls:
        for row, series in zip(panels, SERIES, strict=True):
            panel = row[forecasts.index(known)]
            # One on top of the other, both are seen.
            line = "-" if styles[binds] == "C0" else "--"
            panel.plot(
                columns["week"], columns[series], line, marker="o", ms=4, color=styles[binds], label=binds
            )
    money = rolls[0][2] or "currency"
    titles = [title.format(money) for title in SERIES.values()]
    for row, title in zip(panels, titles, strict=True):
        for panel in row:
            panel.set_title(title, loc="left", fontsize=9)
            panel.axhline(0.0, color="grey", linewidth=0.5)
            panel.yaxis.set_major_formatter("{x:,.0f}")
    for known, top, bottom in zip(forecasts, panels[0], panels[-1], strict=True):
        top.set_title(f"forecast: {known}\n{titles[0]}", loc="left", fontsize=9)
        bottom.set_xlabel("week")
        top.legend(fontsize=8)
    figure.savefig(options.picture)


if __name__ == "__main__":
    main()
