"""Reads a fleet's folder, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Rejected
from jaxcpp.tables.assemble import assemble
from jaxcpp.tables.coverage import check_coverage
from jaxcpp.tables.files import read_folder, read_toml
from jaxcpp.tables.frames import Frames, frames_of
from jaxcpp.tables.links import check_links
from jaxcpp.tables.problems import FleetError, Problem, Report
from jaxcpp.tables.schema import FLEET, WITH_OUTSIDE
from jaxcpp.tables.sides import check_outside
from jaxcpp.tables.values import check_values


def read_fleet(
    path: str | Path, *, skip_bad: bool = False, outside: Collection[str] = ()
) -> tuple[Fleet, list[Rejected]]:
    """The fleet in a folder of tables, and the products left out of it.

    Each table is `<name>.parquet` or `<name>.csv`; `fleet.toml` is optional. Ids become positions in
    sorted lists and rows get one canonical order, so neither the order of rows nor the file format
    reaches the result. Demand of 0 units and weeks of a source after the last week of demand are
    dropped. Costs are in currency, quantities in units, as in the files.

    With `skip_bad` a product with problems of its own loses all its rows and is listed with the
    reason; the others are read as they stand. Without it that list is empty.

    Vendors named in `outside` keep their tables at home: their offers have no margin, and no sources.

    Raises `FleetError` with all problems found (with `skip_bad`: all that are not one product's).
    """
    frames, texts, report = _examine(Path(path), outside)
    if not skip_bad:
        if problems := report.problems():
            raise FleetError(problems)
        return assemble(frames, np.zeros(0, dtype=np.int64), texts), []
    if problems := report.structural():
        raise FleetError(problems)
    reasons = report.by_product()
    rejected = [Rejected(str(frames.names["product_id"][code]), reason) for code, reason in reasons.items()]
    bad = np.asarray(list(reasons), dtype=np.int64)
    if np.isin(frames.tables["products"].codes["product_id"], bad).all():
        message = "every product has a problem, none is left to plan; see them without skipping"
        raise FleetError([Problem(frames.tables["products"].file, None, "", message)])
    return assemble(frames, bad, texts), rejected


def check_fleet(path: str | Path) -> list[Problem]:
    """Everything wrong with the fleet in a folder, nothing solved; an empty list where all is well."""
    return _examine(Path(path))[2].problems()


def _examine(folder: Path, outside: Collection[str] = ()) -> tuple[Frames, dict[str, str], Report]:
    report = Report()
    raw = read_folder(folder, report, WITH_OUTSIDE if outside else FLEET)
    texts = read_toml(folder, report)
    texts["name"] = texts["name"] or folder.resolve().name
    frames = frames_of(raw, report)
    check_values(frames, report)
    check_links(frames, report)
    check_coverage(frames, report)
    if outside and frames.has("offers", "vendor_id", "margin"):
        check_outside(frames, outside, report)
    return frames, texts, report
