"""How a fleet is to be rolled forward week by week. No JAX: the CLI builds these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jaxcpp.fleet.settings import Settings

Policy = Literal["best", "target"]
Forecast = Literal["perfect", "trailing", "table"]
Capacity = Literal["known", "current"]


@dataclass(frozen=True)
class RollSettings:
    """What `jaxcpp roll` can be told; weeks are counted in the fleet's demand table.

    `commit` is how many weeks of a plan bind: 1 (only this week's order is issued) or `window` (all).
    `policy` is the just-in-time order: the retailer's own `best` plan, or base-stock up to a `target`:
    the fleet's own targets where a product has any, else one that covers the forecast of `cover` weeks.
    A `trailing` forecast is the mean of that many weeks before, week by week the same; one from the
    fleet's `table` is the last that was made. Vendors' capacity in the weeks to come is `known`, or expected
    to be what it is in the `current` one. `churn` is what moving a unit of the plan of record costs the
    retailer [currency / unit].
    """

    weeks: int
    start: int = 0
    window: int = 6
    commit: int = 1
    policy: Policy = "best"
    cover: int = 1
    forecast: Forecast = "perfect"
    trailing: int = 4
    capacity: Capacity = "known"
    churn: float = 0.0
    solve: Settings = field(default_factory=Settings)


class RollError(ValueError):
    """The weeks asked for do not fit the fleet's demand table, or the settings do not fit each other."""


def check_weeks(settings: RollSettings, weeks: int) -> None:
    """Refuse what cannot be rolled on a demand table of so many weeks.

    Raises:
        RollError: says which weeks there are, or which settings, and what to ask for instead.
    """
    last = settings.start + settings.weeks
    if settings.start >= weeks or last > weeks:
        raise RollError(
            f"orders in weeks {settings.start} to {last - 1} were asked for, and the demand table has "
            f"weeks 0 to {weeks - 1}; take --weeks {max(weeks - settings.start, 1)} or fewer, "
            f"or an earlier --start"
        )
    if settings.forecast == "trailing" and settings.start == 0:
        raise RollError(
            "a trailing forecast needs weeks before the first order; say --start 1 or later, so that the "
            "weeks before it are known"
        )
    if settings.churn > 0.0 and any(rule.over or rule.under for rule in settings.solve.fees):
        raise RollError(
            "a price on changes does not go with charges on deviations, which are counted from another plan; "
            "leave out --churn, or give fees of other kinds"
        )
    if settings.commit not in (1, settings.window):
        raise RollError(
            f"--commit {settings.commit}: 1 week binds, or all {settings.window} weeks of the window"
        )
