"""Writes a report: one page and its figures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

from jaxcpp.report.document import document
from jaxcpp.report.load import ReportError, is_roll, load, read_names
from jaxcpp.report.rolled import rolled
from jaxcpp.tables import write_page

NEEDED: Final = ("jinja2", "matplotlib")


class MissingLibraryError(ImportError):
    """A library of the extra `report` is not installed."""


def write_report(
    run: Path, out: Path, *, before: Path | None = None, names: Path | None = None
) -> dict[str, Any]:
    """Write `report.html` and `report.json` on a run into `out`; what report.json holds.

    `run` is a folder of `jaxcpp plan` or `jaxcpp roll`, `before` an earlier run of `jaxcpp plan` to
    compare with, `names` a CSV file of what vendors and products are called. The same folders give the
    same bytes.

    Raises:
        MissingLibraryError: matplotlib or jinja2 is not installed.
        ReportError: a folder or file is not what it should be.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingLibraryError(f"a report needs {' and '.join(missing)}: pip install 'jaxcpp[report]'")
    from jaxcpp.report.charts import charts, roll_charts
    from jaxcpp.report.page import page

    called = read_names(names)
    if is_roll(run):
        if before is not None:
            raise ReportError(f"{run} is a rolled fleet: its weeks are compared with just-in-time, not a run")
        found = rolled(run, called)
        html = page(found, roll_charts(found), "roll.html")
    else:
        if before is not None and is_roll(before):
            raise ReportError(f"{before} is a rolled fleet; name a run of jaxcpp plan to compare with")
        found = document(load(run), None if before is None else load(before), called)
        html = page(found, charts(found), "plan.html")
    try:
        write_page(html, found, out)
    except (FileExistsError, NotADirectoryError):
        raise ReportError(f"{out} is a file; name a folder for the report") from None
    return found
