"""Checks across rows and tables: doubled keys, unknown ids, week gaps, and shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxcpp.tables.frames import NULL, Frame, Frames
from jaxcpp.tables.keys import first_rows, fold, key_columns, occurs
from jaxcpp.tables.problems import Positions, Report
from jaxcpp.tables.schema import Reference

SHARE_TOLERANCE = 1e-6


def check_links(frames: Frames, report: Report) -> None:
    """Runs each check whose columns are there; values already found bad cause no second report."""
    for frame in frames.tables.values():
        if frame.has(*frame.spec.key):
            _check_key(frames, frame, report)
        for reference in frame.spec.references:
            if frame.has(*reference.columns) and frames.has(reference.table, *reference.columns):
                _check_reference(frames, frame, reference, report)
    if frames.has("demand", "week") and frames.part is None:  # the weeks are the whole fleet's
        _check_weeks(frames.tables["demand"], report)
    if frames.has("forecast", "made_in", "week"):
        _check_made_in(frames.tables["forecast"], report)
    if frames.has("offers", "product_id", "share"):
        _check_shares(frames, report)


def _check_key(frames: Frames, frame: Frame, report: Report) -> None:
    key = frame.spec.key
    rows = np.flatnonzero(frame.usable(*key))
    values = fold([part[rows] for part in key_columns(frame, key)])
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    if not len(again):
        return
    first = frame.lines[rows[order[np.searchsorted(ordered, ordered[again])]]]
    bad = rows[order[again]]
    report.findings.append(
        frame.finding(
            ", ".join(key),
            bad,
            lambda k: f"duplicate key, a second row for {frames.label(frame, key, int(bad[k]))}",
            remedy=lambda k: f"{frame.row_word} {first[k]} has it already, keep one of the two",
            many="rows with a duplicate key",
        )
    )


def _check_reference(frames: Frames, frame: Frame, reference: Reference, report: Report) -> None:
    columns, other = reference.columns, frames.tables[reference.table]
    named = np.logical_and.reduce([frame.codes[name] != NULL for name in columns])
    rows = np.flatnonzero(frame.usable(*columns) & named)
    known = np.flatnonzero(other.usable(*columns))
    unknown = rows[
        ~occurs([frame.codes[name][rows] for name in columns], [other.codes[name][known] for name in columns])
    ]
    if frames.part is not None:
        unknown = _unknown_to_all(frames, frame, columns, unknown)
    if not len(unknown):
        return
    # One entry for each unknown name and product, not one for each row that has it.
    groups = [frame.codes[name] for name in columns] + [frame.products(np.arange(len(frame.lines)))]
    bad, counts = first_rows(groups, unknown)

    def what(k: int) -> str:
        rows_words = f" ({counts[k]:,} rows have it)" if counts[k] > 1 else ""
        name = frames.label(frame, columns, int(bad[k]))
        return f"unknown id, {reference.table} has no {name}{rows_words}"

    report.findings.append(
        frame.finding(
            ", ".join(columns),
            bad,
            what,
            remedy=f"correct it or add it to {reference.table}",
            many="unknown ids",
        )
    )


def _unknown_to_all(frames: Frames, frame: Frame, columns: tuple[str, ...], rows: Positions) -> Positions:
    """Of a part's rows that refer to nothing in the part, those that refer to nothing in the fleet either."""
    assert frames.part is not None
    values = [frames.names[name][frame.codes[name][rows]].tolist() for name in columns]
    known = [frames.part.knows(columns, pair) for pair in zip(*values, strict=True)]
    return rows[~np.asarray(known, dtype=bool)]


def _check_weeks(demand: Frame, report: Report) -> None:
    good = np.flatnonzero(demand.good["week"])
    weeks, first = np.unique(demand.numbers["week"][good], return_index=True)
    before = np.concatenate([[-1.0], weeks[:-1]])
    gaps = np.flatnonzero(weeks > before + 1)
    if not len(gaps):
        return

    def what(k: int) -> str:
        low, high = before[gaps[k]] + 1, weeks[gaps[k]] - 1
        missing = f"week {low:.0f} has" if low == high else f"weeks {low:.0f} to {high:.0f} have"
        return f"week gap, {missing} no row but week {high + 1:.0f} has"

    finding = demand.finding(
        "week",
        good[first[gaps]],
        what,
        remedy="number the weeks from 0 on; a week in which nothing is asked for needs a row of 0 units",
        many="week gaps",
    )
    # The weeks are the fleet's: no product alone is at fault.
    report.findings.append(replace(finding, products=np.full(len(gaps), -1)))


def _check_made_in(forecast: Frame, report: Report) -> None:
    """A forecast speaks of the week in which it is made, or of later ones."""
    made, week = forecast.numbers["made_in"], forecast.numbers["week"]
    rows = np.flatnonzero(forecast.usable("made_in", "week"))
    rows = rows[week[rows] < made[rows]]
    if len(rows):
        report.findings.append(
            forecast.finding(
                "week",
                rows,
                lambda k: (
                    f"week {week[rows[k]]:.0f} is over in week {made[rows[k]]:.0f}, when it was forecast"
                ),
                remedy="forecast the week it was made in, or a later one",
                many="forecasts of weeks that were over",
            )
        )


def _check_shares(frames: Frames, report: Report) -> None:
    """A product's shares sum to 1, or none of them is given."""
    offers = frames.tables["offers"]
    product, share, null = offers.codes["product_id"], offers.numbers["share"], offers.nulls["share"]
    usable = offers.usable("product_id", "share")
    count = len(frames.names["product_id"]) + 1  # one to spare, so that code -1 points at no product
    given = np.bincount(product[usable & ~null], minlength=count)
    absent = np.bincount(product[usable & null], minlength=count)
    total = np.bincount(product[usable & ~null], share[usable & ~null], minlength=count)
    # Where a share was found bad already the sum means nothing.
    sound = np.bincount(product[offers.good["product_id"] & ~offers.good["share"]], minlength=count) == 0

    mixed, _ = first_rows([product], np.flatnonzero(usable & null & (sound & (given > 0))[product]))
    if len(mixed):
        report.findings.append(
            offers.finding(
                "share",
                mixed,
                lambda k: (
                    f"{frames.label(offers, ['product_id'], int(mixed[k]))} has offers with a "
                    "share and offers without"
                ),
                remedy="give each of the product's offers a share, or none",
                many="products with some shares missing",
            )
        )
    wrong = sound & (given > 0) & (absent == 0) & (np.abs(total - 1) > SHARE_TOLERANCE)
    bad, _ = first_rows([product], np.flatnonzero(usable & wrong[product]))
    if len(bad):
        report.findings.append(
            offers.finding(
                "share",
                bad,
                lambda k: (
                    f"the shares of {frames.label(offers, ['product_id'], int(bad[k]))} sum to "
                    f"{total[product[bad[k]]]:.9g}"
                ),
                remedy="make them sum to 1, or leave them empty for equal shares",
                many="products whose shares do not sum to 1",
            )
        )
