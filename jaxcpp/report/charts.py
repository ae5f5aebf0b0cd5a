"""The pictures of a report, drawn from its figures: narrow enough to be read on a phone."""

from __future__ import annotations

import math
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jaxcpp.report.movement import MOST_NODES
from jaxcpp.report.numbers import asked, money, whole_units
from jaxcpp.report.svg import SETTINGS, TEXT, svg_of

ACCENT: Final = "#0b5c6b"
INK: Final = "#1f1f1f"
GREY: Final = "#6b6b6b"
PALE: Final = "#b4b4b4"
WIDTH: Final = 420.0
"""Of a picture [px]: on a phone it shrinks by a fifth, and its text can still be read."""


def _axes(
    height: float, *, left: float, right: float = 14.0, bottom: float = 46.0, top: float = 12.0
) -> Axes:
    """Axes in a figure of its own, margins in px: no layout that depends on a machine's fonts."""
    figure = Figure(figsize=(WIDTH / 72.0, height / 72.0))
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - bottom - top) / height)
    )
    axes.tick_params(colors=INK, labelcolor=INK, length=3, labelsize=TEXT)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    axes.set_axisbelow(True)
    return axes


def _finish(axes: Axes, name: str, alt: str) -> str:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return svg_of(figure, name, alt)


def _thousands(value: float, _: int | None) -> str:
    size = abs(value)
    if size >= 999_500:
        return f"{value / 1e6:,.4g} M"
    return f"{value:,.10g}"


def charts(document: dict[str, Any]) -> dict[str, str]:
    """Every picture of a run's page by name; those without anything to show are left out."""
    with rc_context(SETTINGS):
        moved, found, rounds = document["movement"], document["certificates"], document["rounds"]
        made = {}
        if moved["nodes"]:
            made["nodes"] = nodes(moved)
            made["weeks"] = weeks(moved)
        if found["count"]:
            made["certificates"] = gaps(found)
        if any(row["count"] for row in rounds["classes"]):
            made["rounds"] = searches(rounds)
        return made


def nodes(movement: dict[str, Any]) -> str:
    """Units by inbound node: just in time, and as carried out."""
    rows = movement["nodes"]
    if len(rows) > MOST_NODES:
        by_change = sorted(rows, key=lambda row: -abs(row["plan_units"] - row["jit_units"]))[:MOST_NODES]
        rows = [row for row in rows if row in by_change]
    labels = [_short(row["inbound_id"], 16) for row in rows]
    left = 20.0 + 7.2 * max(map(len, labels))
    axes = _axes(66.0 + 27.0 * len(rows), left=left, right=92.0, top=28.0)
    most = max(max(row["jit_units"], row["plan_units"]) for row in rows) or 1.0
    at_right = (WIDTH - left - 4.0) / (WIDTH - left - 92.0)
    for at, row in enumerate(rows):
        before, after = row["jit_units"], row["plan_units"]
        axes.plot([before, after], [at, at], color=ACCENT, linewidth=2.5, solid_capstyle="butt")
        axes.plot([before], [at], "o", markersize=7, markerfacecolor="white", markeredgecolor=GREY, zorder=3)
        axes.plot([after], [at], "o", markersize=7, color=ACCENT, zorder=4)
        axes.text(
            at_right, at, whole_units(after - before, sign=True), transform=axes.get_yaxis_transform(),
            ha="right", va="center", color=INK, fontsize=TEXT,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0.0, most * 1.04)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlabel("units over all weeks", color=INK)
    _key(axes, left)
    first, last = rows[0], rows[-1]
    alt = (
        f"Units by inbound node, just in time and as planned. {first['inbound_id']} changes most upwards, "
        f"{whole_units(first['plan_units'] - first['jit_units'], sign=True)}; {last['inbound_id']} most "
        f"downwards, {whole_units(last['plan_units'] - last['jit_units'], sign=True)}. "
        f"The table below has the numbers by week."
    )
    return _finish(axes, "nodes", alt)


def _key(axes: Axes, left: float) -> None:
    """Says which mark is which, above the axes, and what the numbers at the right are."""
    height = axes.figure.get_figheight() * 72.0  # type: ignore[union-attr]
    y = height - 12.0
    figure = axes.figure
    for x, label, filled in ((left, "just in time", False), (left + 110.0, "planned", True)):
        figure.text((x + 12.0) / WIDTH, y / height, label, va="center", color=INK, fontsize=TEXT)
        marker = Axes.plot(
            axes, [x / WIDTH], [y / height], "o", markersize=7, transform=figure.transFigure, clip_on=False,
            markerfacecolor=ACCENT if filled else "white", markeredgecolor=ACCENT if filled else GREY,
        )  # fmt: skip
        assert marker
    figure.text(
        (WIDTH - 4.0) / WIDTH, y / height, "change", va="center", ha="right", color=INK, fontsize=TEXT
    )


def weeks(movement: dict[str, Any]) -> str:
    """Units by week of arrival: just in time, and as carried out."""
    rows = movement["weeks"]
    axes = _axes(250.0, left=68.0, top=28.0)
    at = list(range(len(rows)))
    axes.bar([x - 0.19 for x in at], [row["jit_units"] for row in rows], 0.36, color=PALE)
    axes.bar([x + 0.19 for x in at], [row["plan_units"] for row in rows], 0.36, color=ACCENT)
    step = max(1, math.ceil(len(rows) / 7))
    axes.set_xticks(at[::step], [row["label"] for row in rows][::step])
    axes.set_xlim(-0.6, max(len(rows) - 0.4, 0.6))
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlabel("week of arrival", color=INK)
    figure = axes.figure
    for x, label, colour in ((68.0, "just in time", PALE), (178.0, "planned", ACCENT)):
        figure.text((x + 14.0) / WIDTH, 238.0 / 250.0, label, va="center", color=INK, fontsize=TEXT)
        Axes.plot(
            axes, [(x + 4.0) / WIDTH], [238.0 / 250.0], "s", markersize=9, color=colour,
            transform=figure.transFigure, clip_on=False,
        )  # fmt: skip
    most = max(rows, key=lambda row: abs(row["plan_units"] - row["jit_units"]))
    alt = (
        f"Units by week of arrival, just in time and as planned. The largest change is in {most['label']}: "
        f"{whole_units(most['plan_units'] - most['jit_units'], sign=True)} units."
    )
    return _finish(axes, "weeks", alt)


def gaps(found: dict[str, Any]) -> str:
    """How many plans are how close to the best, by tenths of the tolerance."""
    *within, beyond = (row["count"] for row in found["classes"])
    axes = _axes(230.0, left=68.0)
    axes.bar([at + 0.5 for at in range(len(within))], within, 0.9, color=ACCENT)
    ticks = [(0, "0"), (5, "50%"), (10, "100%")]
    if beyond:
        axes.bar([12.0], [beyond], 0.9, color=GREY)
        ticks.append((12.0, "beyond"))  # type: ignore[arg-type]
    axes.set_xticks([at for at, _ in ticks], [label for _, label in ticks])
    axes.set_xlim(0.0, 13.0 if beyond else 10.3)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlabel("gap, of the tolerance", color=INK)
    axes.set_ylabel("plans", color=INK)
    alt = (
        f"Plans by certified gap: {sum(within):,d} are within the tolerance of {asked(found['tolerance'])} "
        f"of chain cost, {beyond:,d} beyond it; {sum(within[:5]):,d} are within half of it."
    )
    return _finish(axes, "certificates", alt)


def searches(rounds: dict[str, Any]) -> str:
    """How many contracts took how many rounds."""
    rows, width = rounds["classes"], rounds["width"]
    axes = _axes(230.0, left=68.0)
    axes.bar(
        [row["from"] + width / 2.0 for row in rows], [row["count"] for row in rows], width * 0.9, color=ACCENT
    )
    axes.set_xlim(0.0, rows[-1]["from"] + width)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlabel("rounds of the search", color=INK)
    axes.set_ylabel("contracts", color=INK)
    alt = (
        f"Contracts by rounds of their search: half took {rounds['median']:.0f} or fewer, "
        f"99% {rounds['p99']:.0f} or fewer, the longest {rounds['max']:.0f}."
    )
    return _finish(axes, "rounds", alt)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def roll_charts(document: dict[str, Any]) -> dict[str, str]:
    """The picture of a rolled fleet's page: the gain so far, and whose it is."""
    rows = document["weeks"]
    series = (
        ("cumulative_gain", "together", INK, "-"),
        ("cumulative_supplier_surplus", "vendors", ACCENT, "-"),
        ("cumulative_retailer_gain", "retailer", GREY, "--"),
    )
    with rc_context(SETTINGS):
        axes = _axes(290.0, left=68.0, top=30.0)
        at = list(range(len(rows)))
        for name, _, colour, line in series:
            values = [row[name] for row in rows]
            axes.plot(at, values, line, color=colour, linewidth=2.0, marker="o", markersize=4)
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        step = max(1, math.ceil(len(rows) / 7))
        axes.set_xticks(at[::step], [row["label"] for row in rows][::step])
        axes.set_xlim(-0.3, len(rows) - 0.7)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
        for k, (_, label, colour, line) in enumerate(series):
            x = 68.0 + 96.0 * k
            Axes.plot(
                axes, [x / WIDTH, (x + 18.0) / WIDTH], [276.0 / 290.0] * 2, line, color=colour, linewidth=2.0,
                transform=axes.figure.transFigure, clip_on=False,
            )  # fmt: skip
            axes.figure.text((x + 23.0) / WIDTH, 276.0 / 290.0, label, va="center", color=INK, fontsize=TEXT)
        last = rows[-1]
        alt = "Gain so far by week. After the last week: " + "; ".join(
            f"{label} {money(last[name], document['currency'])}" for name, label, *_ in series
        )
        return {"gain": _finish(axes, "gain", alt + ".")}
