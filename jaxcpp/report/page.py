"""From figures and pictures to one page: no script, nothing fetched, nothing that a policy would refuse."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jaxcpp.report import numbers, words
from jaxcpp.report.movement import heat

VENDORS = 10
LISTED = 50
"""Rows of a table of many; `report.json` has them all."""


def page(document: Mapping[str, Any], pictures: Mapping[str, str], template: str) -> str:
    """A report as HTML; every text from the run is escaped."""
    environment = Environment(
        loader=PackageLoader("jaxcpp.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        **{name: _typeset(getattr(numbers, name)) for name in ("money", "change", "units", "whole_units")},
        **{name: getattr(numbers, name) for name in ("percent", "asked", "bound", "count", "seconds")},
        "words": words,
        "heat": heat,
        "listed": LISTED,
        "most_vendors": VENDORS,
    }
    source = environment.loader
    assert source is not None
    style, _, _ = source.get_source(environment, "page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(template).render(
        d=document,
        pictures={name: Markup(svg) for name, svg in pictures.items()},
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )


def _typeset(number: Callable[..., str]) -> Callable[..., str]:
    """The same numbers with a true minus sign."""
    return lambda *values, **options: number(*values, **options).replace("-", "\N{MINUS SIGN}")
