"""Draw a rolled fleet: gain, transfers and churn, week by week and in sum.

    python -m examples.plot_roll out.png RUN [RUN ...]

Needs matplotlib, which jaxcpp itself does not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SERIES = {
    "cumulative_gain": "gain so far, with what the state left is worth",
    "cbt": "cost-benefit transfers of the week",
    "churn": "churn [units]",
}


def read(folder: Path) -> tuple[str, dict[str, list[Any]]]:
    """A roll's name, by what was asked for, and the columns of its summary."""
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    asked = document["settings"]
    known = asked["forecast"] if asked["forecast"] == "perfect" else f"trailing {asked['trailing']} weeks"
    rows = document["weeks"]
    binds = "one week binds" if asked["commit"] == 1 else f"{asked['commit']} weeks bind"
    return f"{known}, {binds}", {name: [row[name] for row in rows] for name in ("week", *SERIES)}


def main(arguments: list[str] | None = None) -> None:
    """Read the rolls and write the picture."""
    parser = argparse.ArgumentParser(description="Draw rolled fleets, one above another.")
    parser.add_argument("picture", type=Path, help="file to write, .png or .svg")
    parser.add_argument("runs", type=Path, nargs="+", help="folders that jaxcpp roll wrote")
    options = parser.parse_args(arguments)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        parser.error("this needs matplotlib: pip install matplotlib")
    figure = Figure(figsize=(8, 9), layout="constrained")
    panels = figure.subplots(len(SERIES), 1, sharex=True)
    for folder in options.runs:
        name, columns = read(folder)
        for panel, series in zip(panels, SERIES, strict=True):
            panel.plot(columns["week"], columns[series], marker="o", label=name)
    for panel, title in zip(panels, SERIES.values(), strict=True):
        panel.set_title(title, loc="left", fontsize=10)
        panel.axhline(0.0, color="grey", linewidth=0.5)
    panels[-1].set_xlabel("week")
    panels[0].legend(fontsize=8)
    figure.savefig(options.picture)


if __name__ == "__main__":
    main()
