"""Roll a fleet forward: week after week, each from the state that the one before left."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from jaxcpp.fleet.batch import OnLanes
from jaxcpp.fleet.contracts import Contracts, contracts_alone
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.fees import charges, check_fees
from jaxcpp.fleet.parts import workers
from jaxcpp.fleet.roll_settings import RollSettings
from jaxcpp.fleet.settings import OnProgress
from jaxcpp.fleet.solve import reporter
from jaxcpp.fleet.told import check_roll
from jaxcpp.fleet.week import Planned, Transfer, Weeks, empty_state, next_price
from jaxcpp.fleet.week_accounts import Account, value
from jaxcpp.fleet.windows import Group, groups
from jaxcpp.horizon.state import State

ARMS = ("plan", "jit")
"""The fleet as coordinated, and the same fleet on the same demand without coordination."""

States = dict[str, State]
"""A group's states by arm."""

Following = dict[str, Planned]
"""A group's next week by arm, where valuing what the last one left has opened it already."""


@dataclass(frozen=True)
class WeekDone:
    """A group's week: offers, payments, accounts by arm, and the states it leaves."""

    group: Group
    planned: Planned
    contract: Any  # a Contract with numpy leaves
    transfer: Transfer
    churn: Floats  # (lane,) units by which the plan of the same weeks moved since last week
    accounts: dict[str, Account]
    values: dict[str, tuple[Floats, Floats]]  # of the states left, to retailer and vendor
    states: States
    following: Following  # what has been worked out of the next week
    jit_issued: Floats  # (lane, public node) units, in the world without coordination


OnWeek = Callable[[int, list[WeekDone]], None]
"""Told of each week that is done, and given all of its groups."""


class Roll:
    """A fleet that is rolled forward.

    Args:
        fleet: its demand table spans the weeks to come, and those before the first order.
        settings: weeks, policy, forecast, commitment.

    Raises:
        RollError: the fleet's tables do not have what the settings ask for (see `check_roll`).
        CoupledContractsError: contracts of the fleet are tied together (see `fleet.contracts`).
        FeeError: a fee speaks of something that the fleet does not have.
    """

    def __init__(self, fleet: Fleet, settings: RollSettings) -> None:
        check_roll(settings, fleet)
        self.fleet, self.settings = fleet, settings
        check_fees(settings.solve.fees, fleet)
        self.found: Contracts = contracts_alone(fleet)
        self.groups = groups(fleet, self.found, settings)
        self.runs = [
            Weeks(group, settings, fleet.weeks,
                  charges(settings.solve.fees, fleet, self.found, group.contract, group.nodes))
            for group in self.groups
        ]  # fmt: skip

    def start(self) -> list[States]:
        """The states before the first week, one entry a group."""
        return [{arm: empty_state(group) for arm in ARMS} for group in self.groups]

    def week(
        self,
        week: int,
        states: list[States],
        on_progress: OnProgress | None = None,
        opened: list[Following] | None = None,
    ) -> list[WeekDone]:
        """One week of the whole fleet, from the states given, which are left as they are.

        `opened` is `following` of the week before, where it is at hand: it saves time and changes nothing.
        """
        report = reporter(len(self.found), on_progress)
        first = week == self.settings.start
        known: list[Following] = [{} for _ in self.runs] if opened is None else opened
        with ThreadPoolExecutor(workers()) as pool:
            return list(
                pool.map(
                    lambda run, state, ahead: one_week(run, state, week, first, report, ahead),
                    self.runs,
                    states,
                    known,
                )
            )

    def all_weeks(
        self, states: list[States], first: int, on_week: OnWeek, on_progress: OnProgress | None = None
    ) -> None:
        """Every week from `first` on, each handed over as it is done."""
        opened = None
        for week in range(first, self.settings.start + self.settings.weeks):
            done = self.week(week, states, on_progress, opened)
            states, opened = [group.states for group in done], [group.following for group in done]
            on_week(week, done)


def one_week(
    run: Weeks, states: States, week: int, first: bool, report: OnLanes, opened: Following
) -> WeekDone:
    """A group's week with coordination and, from its own state, without."""
    settings, group = run.settings, run.group
    recorded = settings.commit > 1 and not first
    start = opened.get("plan") or run.plan(states["plan"], week, recorded, settings.commit > 1)
    planned, contract, price = run.coordinate(start, week, report)
    transfer = run.transfer(planned, contract, week, recorded)
    alone = opened.get("jit") or run.plan(states["jit"], week, False)
    left, accounts = {}, {}
    left["plan"], accounts["plan"] = run.carry_out(planned, week, settings.commit)
    left["jit"], accounts["jit"] = run.carry_out(alone, week, 1)
    left["plan"] = replace(left["plan"], price=next_price(price, group))
    ahead = {arm: run.plan(left[arm], week + 1, False) for arm in ARMS}
    values = {arm: value(group, ahead[arm].opened, ahead[arm].quo, ahead[arm].state) for arm in ARMS}
    if settings.commit > 1:
        del ahead["plan"]  # a plan of record stands next week, and is not what a state is worth without one
    churn = run.churn(states["plan"], planned.issued, week)
    return WeekDone(group, planned, contract, transfer, churn, accounts, values, left, ahead, alone.issued)
