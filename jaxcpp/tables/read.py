"""Reads a fleet's folder, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np

from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Rejected
from jaxcpp.tables.assemble import assemble
from jaxcpp.tables.chosen import Chosen
from jaxcpp.tables.coverage import check_coverage
from jaxcpp.tables.files import read_folder, read_toml
from jaxcpp.tables.frames import Frames, frames_of
from jaxcpp.tables.links import check_links
from jaxcpp.tables.places import Folder, Place, place
from jaxcpp.tables.problems import FleetError, Positions, Problem, Report
from jaxcpp.tables.schema import FLEET, WITH_OUTSIDE
from jaxcpp.tables.sides import check_outside
from jaxcpp.tables.values import check_values

NONE_LEFT: Final = "every product has a problem, none is left to plan; see them without skipping"


def read_fleet(
    path: str | Path | Place, *, skip_bad: bool = False, outside: Collection[str] = ()
) -> tuple[Fleet, list[Rejected]]:
    """The fleet in a folder of tables, and the products left out of it.

    Each table is `<name>.parquet`, `<name>.csv`, or a folder `<name>` of Parquet files whose own folders
    may give columns (`vendor_id=maker`); `fleet.toml` is optional. `path` may be an address (`s3://...`).
    Ids become positions in sorted lists and rows get one canonical order, so neither the order of rows
    nor the file format reaches the result. Demand of 0 units and weeks of a source after the last week of
    demand are dropped. Costs are in currency, quantities in units, as in the files.

    With `skip_bad` a product with problems of its own loses all its rows and is listed with the
    reason; the others are read as they stand. Without it that list is empty.

    Vendors named in `outside` keep their tables at home: their offers have no margin, and no sources.

    Raises `FleetError` with all problems found (with `skip_bad`: all that are not one product's).
    """
    frames, texts, report = _examine(place(path), outside)
    bad, rejected = _left_out(frames, report, skip_bad)
    if rejected and np.isin(frames.tables["products"].codes["product_id"], bad).all():
        raise FleetError([Problem(frames.tables["products"].file, None, "", NONE_LEFT)])
    return assemble(frames, bad, texts), rejected


def read_part(
    path: str | Path | Place, part: Chosen, *, skip_bad: bool = False
) -> tuple[Fleet, list[Rejected]]:
    """As `read_fleet`, one part of the fleet: it has the weeks of the whole, and may have no product left.

    Raises `FleetError` with the problems of the part's rows, and of rows that speak for every product.
    """
    frames, texts, report = _examine(place(path), part=part)
    bad, rejected = _left_out(frames, report, skip_bad)
    return assemble(frames, bad, texts), rejected


def _left_out(frames: Frames, report: Report, skip_bad: bool) -> tuple[Positions, list[Rejected]]:
    """The products with problems of their own; raises `FleetError` for all that may not be skipped."""
    if problems := report.structural() if skip_bad else report.problems():
        raise FleetError(problems)
    reasons = report.by_product()
    names = frames.names["product_id"]
    rejected = [Rejected(str(names[code]), reason) for code, reason in reasons.items()]
    return np.asarray(list(reasons), dtype=np.int64), rejected


def check_fleet(path: str | Path | Place) -> list[Problem]:
    """Everything wrong with the fleet in a folder, nothing solved; an empty list where all is well."""
    return _examine(place(path))[2].problems()


def _examine(
    folder: Folder, outside: Collection[str] = (), part: Chosen | None = None
) -> tuple[Frames, dict[str, str], Report]:
    report = Report()
    raw = read_folder(folder, report, WITH_OUTSIDE if outside else FLEET, part)
    texts = read_toml(folder, report)
    frames = frames_of(raw, report, part)
    check_values(frames, report)
    check_links(frames, report)
    check_coverage(frames, report)
    if outside and frames.has("offers", "vendor_id", "margin"):
        check_outside(frames, outside, report)
    return frames, texts, report
