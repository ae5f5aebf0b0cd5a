"""Checks of single values: nulls, text that is no number, NaN, and numbers out of their range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jaxcpp.tables.frames import Frame, Frames, Mask
from jaxcpp.tables.problems import Finding, Report, Words
from jaxcpp.tables.schema import Column, Kind

LAST_WEEK = np.iinfo(np.int32).max


def check_values(frames: Frames, report: Report) -> None:
    """Reports every value that cannot be used and marks it in `Frame.good`."""
    for frame in frames.tables.values():
        for column in frame.spec.columns:
            if not frame.has(column.name):
                continue
            if column.required:
                _check_nulls(frame, column, report)
            if column.kind is Kind.ID:
                _check_ids(frame, column, frames, report)
            else:
                _check_numbers(frame, column, report)
    if frames.has("products", "margin", "lost_sale_cost"):
        _check_lost_sale(frames.tables["products"], report)


def _check_nulls(frame: Frame, column: Column, report: Report) -> None:
    rows = np.flatnonzero(frame.nulls[column.name])
    if len(rows):
        wanted = "an id" if column.kind is Kind.ID else column.range_text
        report.findings.append(
            frame.finding(
                column.name,
                rows,
                "is empty",
                remedy=f"write {wanted}",
                many="rows without a value",
            )
        )


def _check_ids(frame: Frame, column: Column, frames: Frames, report: Report) -> None:
    bad = ~frame.good[column.name] & ~frame.nulls[column.name]
    rows = np.flatnonzero(bad)
    if len(rows):
        words = frames.names[column.name][frame.codes[column.name][rows]]
        report.findings.append(
            frame.finding(
                column.name,
                rows,
                lambda k: f"{str(words[k])!r} cannot be an id",
                remedy="write a name of at least one character, without NUL",
                many="rows with such an id",
            )
        )


def _check_numbers(frame: Frame, column: Column, report: Report) -> None:
    """Every number in its range; each row is reported once, for the first thing wrong with it."""
    name, values = column.name, frame.numbers[column.name]
    odd = ~frame.good[name] & ~frame.nulls[name]
    if odd.any():
        texts = frame.texts[name].filter(pa.array(odd)).to_pylist()
        report.findings.append(_number_finding(frame, column, odd, lambda k: f"{texts[k]!r} is not a number"))
    low = 0.0 if column.kind is Kind.WEEK else column.low
    tests: list[tuple[Mask, str]] = [
        (np.isnan(values), "is not a number (NaN)"),
        (values < low, "is negative"),
        (np.isinf(values) & ~(column.infinite & (values > 0)), "is infinite"),
        (values > column.high, "is too large"),
    ]
    if column.kind is Kind.WEEK:
        tests.append((values > LAST_WEEK, "is too large for a week"))
        tests.append((values != np.floor(values), "is not a whole number"))
    for test, words in tests:
        bad = test & frame.good[name] & ~frame.nulls[name]
        if bad.any():
            report.findings.append(_number_finding(frame, column, bad, _value_text(values[bad], words)))
            frame.good[name] &= ~bad


def _value_text(values: NDArray[np.float64], words: str) -> Callable[[int], str]:
    return lambda k: words if np.isnan(values[k]) else f"{values[k]:.15g} {words}"


def _number_finding(frame: Frame, column: Column, bad: Mask, what: Words) -> Finding:
    default = f", or leave it empty for {column.empty}" if column.empty else ""
    return frame.finding(
        column.name,
        np.flatnonzero(bad),
        what,
        remedy=f"write {column.range_text}{default}",
        many="rows like these",
    )


def _check_lost_sale(frame: Frame, report: Report) -> None:
    """A margin may be negative, but losing a sale may not earn more than making it."""
    margin, lost = frame.numbers["margin"], frame.numbers["lost_sale_cost"]
    rows = np.flatnonzero(frame.usable("margin", "lost_sale_cost"))
    rows = rows[margin[rows] + lost[rows] < 0]
    if len(rows):
        report.findings.append(
            frame.finding(
                "margin",
                rows,
                lambda k: f"{margin[rows[k]]:.15g} is a loss beyond the lost_sale_cost {lost[rows[k]]:.15g}",
                remedy="raise lost_sale_cost, or leave it empty if all demand must be met",
                many="products on which a lost sale would earn",
            )
        )
