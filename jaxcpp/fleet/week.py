"""One week of a group of contracts: plan, price, issue, ship, sell, and the state that is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxcpp.fleet import store, week_fees
from jaxcpp.fleet import week_steps as _registered  # noqa: F401  (its steps join those of `programs`)
from jaxcpp.fleet.batch import (
    OnLanes,
    consensus,
    in_batches,
    lanes_per_batch,
    lanes_per_small_batch,
    status_quo,
    turns,
)
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.pack import Lanes
from jaxcpp.fleet.roll_settings import RollSettings
from jaxcpp.fleet.week_accounts import Account, account
from jaxcpp.fleet.windows import Group, Window, entries, forecast, put, take, window
from jaxcpp.horizon.state import State
from jaxcpp.mechanism.status import NO_GAIN

NEARER = 0.1
"""Of the tolerance of plans: how near to its cheapest an order that stands is priced."""

NEAREST = 1e-8
"""Of a contract's cost: how near to the cheapest a week's flows are. A transfer is a difference, and what
smoothing leaves undecided would be carried on from week to week."""

DUST = 1e-6
"""Of a contract's volume: less than this cancelled is rounding."""

NEGLIGIBLE = 1e-8
"""Of a contract's usual demand in a window: fewer units than this in one entry are what rounding left of
earlier weeks. They are not planned for, and stay past due."""


@dataclass(frozen=True)
class Planned:
    """A week before demand comes: lanes as forecast, the order that stands, and the plan issued."""

    window: Window
    state: State  # what is kept beyond the forecast is spare
    expected: Floats  # (lane, region, window) units
    opened: Any  # Opened and StatusQuo with numpy leaves
    quo: Any
    issued: Floats  # (lane, public node) units
    price: np.ndarray  # of a unit moved from the plan of record [currency / unit]


@dataclass(frozen=True)
class Transfer:
    """What the vendor pays for this week's order (eq. 8; with all weeks binding eq. 10) [currency]."""

    cbt: Floats
    fee: Floats
    price: Floats
    paid: Floats
    error: Floats  # certified bound on the price
    owed: Floats  # by the vendor, for what of the plan of record it can no longer deliver
    cancelled: Floats  # units of the plan of record that no demand takes any more
    compensation: Floats  # by the retailer, for those

    @property
    def settled(self) -> Floats:
        """What the vendor pays for changes that could not be avoided; negative: the retailer does."""
        return self.owed - self.compensation


def empty_state(group: Group) -> State:
    """The state before the first week: what the fleet has on hand."""
    count, inbound, regions = group.outbound.shape
    nodes = inbound * group.shape.weeks
    return State(
        spare=group.inventory.copy(),
        kept=np.zeros((count, inbound, regions, group.shape.weeks)),
        backlog=np.zeros((count, regions)),
        stock=np.zeros((count, group.shape.sources)),
        record=np.zeros((count, nodes)),
        price=np.full((count, nodes), np.nan),
    )


class Weeks:
    """The weeks of one group; holds what does not change from week to week."""

    def __init__(self, group: Group, settings: RollSettings, weeks: int, fees: Charges) -> None:
        self.group, self.settings, self.weeks, self.fees = group, settings, weeks, fees
        count = len(group.contract)
        self.size = lanes_per_batch(group.shape, count, settings.solve)
        self.small = lanes_per_small_batch(group.shape, count)
        usual = group.demand.sum(axis=(1, 2)) * group.shape.weeks / max(weeks, 1)
        self.least = NEGLIGIBLE * usual[:, None, None]  # units
        self.tolerance = np.asarray(settings.solve.tolerance)
        self.order_tolerance = np.asarray(NEARER * settings.solve.tolerance)
        self.nearest = np.asarray(min(NEAREST, settings.solve.tolerance))
        self.priced = settings.churn > 0.0

    def churn(self, state: State, plan: Floats, week: int) -> Floats:
        """Units by which a plan (lane, public node) moves from the plan of record, by lane."""
        moved = np.abs(plan - state.record).reshape(len(plan), -1, self.group.shape.weeks)
        # Before the first week nothing is on record, nor is the week that a window has gained.
        return np.zeros(len(plan)) if week == self.settings.start else moved[:, :, :-1].sum(axis=(1, 2))

    def plan(self, state: State, week: int, recorded: bool, binding: bool = False) -> Planned:
        """The forecast, and the order that stands without a new plan, as the vendor confirms it."""
        group = self.group
        expected = forecast(group, self.settings, week, self.weeks)
        state = released(state, expected)
        net = np.maximum(expected - state.kept.sum(axis=1), 0.0)
        grid = np.concatenate([state.backlog[:, :, None], net], axis=2)
        grid = np.where(grid > self.least, grid, 0.0)
        some = entries(group.demand, expected, week)
        foreseen = self.settings.capacity == "known"
        ahead = window(group, week, some, grid, state.stock, state.spare, foreseen)
        targets = group.targets[:, :, week : week + group.shape.weeks]
        args = (ahead.lanes, state.price, state.record, targets)
        price = np.asarray(0.0 if week == self.settings.start else self.settings.churn)
        shared = np.asarray(recorded), np.asarray(self.settings.cover, np.int32), price, self.order_tolerance
        static = self.settings.policy, binding, self.priced
        opened = in_batches(self.size, "open_week", args, shared, static)
        quo = status_quo(ahead.lanes, opened.prepared, self.size, self.small, self.tolerance)
        opened, quo = store.fetch((opened, quo))
        terms = opened.prepared.terms
        if self.priced:  # an order filled in full has its charge already
            charge = (
                price
                * self.churn(state, quo.plan * terms.volume[:, None], week)
                / (terms.money * terms.volume)
            )
            charge = np.where(quo.filled, 0.0, charge)
            cost = quo.retailer.lower + charge, quo.retailer.upper + charge
            quo = eqx.tree_at(lambda q: (q.retailer.lower, q.retailer.upper), quo, cost)
        if recorded:
            # The week that was added is a wish, not a commitment: the baseline is what the vendor confirms.
            cost = jax.tree.map(lambda a, b: np.where(quo.filled, a, b), quo.order.cost, quo.retailer)
            quo = eqx.tree_at(lambda q: (q.order.cost, q.order.plan), quo, (cost, quo.plan))
        issued = quo.plan * terms.volume[:, None]
        return Planned(ahead, state, expected, opened, quo, issued, price)

    def coordinate(self, planned: Planned, week: int, on_lanes: OnLanes) -> tuple[Planned, Any, Floats]:
        """The plan that the vendor likes best, priced as a whole, and the planned week with what is issued.

        Also the prices that the search of the plan best for both ended at [currency / unit].
        """
        prepared, lanes = planned.opened.prepared, planned.window.lanes
        if self.priced:
            count = len(planned.issued)
            of = lanes, planned.state.record, np.full(count, planned.price)
            _, outcome = turns(
                of, prepared.state, np.arange(count), self.size, "turn_on_record", "tolled",
                self.settings.solve, on_lanes,
            )  # fmt: skip
        else:
            outcome = consensus(lanes, prepared, self.size, self.settings.solve, on_lanes)
        outcome = store.fetch(outcome)
        known = week_fees.Known(lanes, prepared.terms, planned.quo.order, outcome, self._record(planned))
        choice, fees = week_fees.choice(
            known, self.charged(week), (self.size, self.small), self.settings.solve
        )
        args = (prepared.own, prepared.terms, planned.quo, outcome, choice, fees)
        contract = store.fetch(in_batches(self.small, "conclude", args, (self.tolerance,)))
        price = outcome.price * prepared.terms.money[:, None]
        return replace(planned, issued=contract.issued), contract, price

    def _record(self, planned: Planned) -> week_fees.Record | None:
        """The plan of record and the price on leaving it; the week that the window has gained is free."""
        if not self.priced:
            return None
        plan, weeks = planned.state.record, self.group.shape.weeks
        known = np.arange(plan.shape[1]) % weeks < weeks - 1
        return week_fees.Record(plan, np.broadcast_to(np.where(known, planned.price, 0.0), plan.shape))

    def charged(self, week: int) -> Charges:
        """The fees on a plan made in `week`."""
        shape = self.group.shape
        return week_fees.in_week(self.fees, shape.inbound, shape.weeks, week, self.settings.commit)

    def transfer(self, planned: Planned, contract: Any, week: int, recorded: bool) -> Transfer:
        """What this week's payment is, by how many weeks bind."""
        if self.settings.commit > 1:
            return self._of_all(planned, contract, recorded)
        return self._of_one(planned, contract, week)

    def _of_all(self, planned: Planned, contract: Any, recorded: bool) -> Transfer:
        """For the whole window, against the order that stands (eq. 10).

        A plan that is carried out instead is paid for against what the vendor confirms of the record, with
        all demand in it that must be served at the ceiling: so is what the vendor then owes. Where nothing
        else is carried out, it owes what leaving that demand unserved, or late, costs in money.
        """
        terms, quo = planned.opened.prepared.terms, planned.quo
        asked, unit = planned.opened.prepared.order, terms.money * terms.volume
        stands = np.flatnonzero(~quo.filled & recorded & ~contract.accepted)
        missing = (asked.plan - quo.plan).reshape(len(unit), -1, self.group.shape.weeks)
        # In proportion to the units of the record among those that are not confirmed.
        share = missing[:, :, :-1].sum(axis=(1, 2)) / np.maximum(missing.sum(axis=(1, 2)), DUST)
        harm = (quo.retailer.upper - asked.cost.upper) * unit
        harm[stands] = self._spent(planned, quo.plan, stands) - self._spent(planned, asked.plan, stands)
        owed = np.where(~quo.filled & recorded, harm * np.clip(share, 0.0, 1.0), 0.0)
        cancelled = planned.opened.cancelled.sum(axis=1)
        cancelled = np.where(cancelled > DUST * terms.volume, cancelled, 0.0)
        return Transfer(
            contract.cbt, contract.fee, contract.price, contract.paid, contract.certificate.price_error,
            np.maximum(owed, 0.0), cancelled, cancelled * self.group.supplier[:, 0],
        )  # fmt: skip

    def _of_one(self, planned: Planned, contract: Any, week: int) -> Transfer:
        """For this week's order, against the one just in time (eq. 8)."""
        terms, quo, lanes = planned.opened.prepared.terms, planned.quo, planned.window.lanes
        unit = terms.money * terms.volume
        # What stands stays: by what it is worth to both, or on a schedule to the vendor.
        stays = (contract.code == NO_GAIN) | np.all(contract.plan == contract.jit, axis=1)
        given = self.go_on(lanes, contract.plan, 1)
        moved = planned.price * self.churn(planned.state, contract.plan, week)
        best, short = self.settings.policy == "best", np.flatnonzero(~quo.filled)
        base_upper, base_lower = quo.order.cost.upper * unit, quo.order.cost.lower * unit
        ordered = base_upper.copy()
        # Only a full order just in time is known to be the retailer's best: any other is looked at.
        looked = short if best else np.arange(len(unit))
        if len(looked):
            base = self.go_on(lanes, contract.jit, 1, looked)
            jit_moved = planned.price * self.churn(planned.state, contract.jit, week)[looked]
            base_upper[looked] = base.upper[looked] + jit_moved
            base_lower[looked] = base.lower[looked] + jit_moved
        fees, cost = self.charged(week), given.upper + moved
        if not best:
            ordered = base_upper.copy()
            if fees.share.any() and len(short):  # is levied on what it costs over all that was ordered
                ordered[short] = self.go_on(lanes, contract.order, 1, short).upper[short]
        cbt = np.where(stays, 0.0, cost - base_upper)
        fee = week_fees.levied(fees, cost - ordered, contract.plan, contract.order)
        fee = np.where(stays, 0.0, fee)
        error = np.maximum(given.upper - given.lower, base_upper - base_lower) * (1.0 + fees.share)
        nothing = np.zeros_like(cbt)
        return Transfer(
            cbt, fee, cbt + fee, np.where(contract.accepted, cbt + fee, 0.0), np.where(stays, 0.0, error),
            nothing, nothing, nothing,
        )  # fmt: skip

    def _spent(self, planned: Planned, plan: Floats, chosen: Index) -> Floats:
        """What some contracts' plans (lane, public node), in scaled units, cost the retailer [currency]."""
        if not len(chosen):
            return np.zeros(0)
        units = plan * planned.opened.prepared.terms.volume[:, None]
        live = self.go_on(planned.window.lanes, units, self.group.shape.weeks, chosen)
        moved = planned.price * self.churn(planned.state, units, self.settings.start + 1)
        return np.asarray(live.upper - live.beyond_price + moved)[chosen]

    def go_on(self, lanes: Lanes, plan: Floats, binding: int, chosen: Any = None) -> Any:
        """The retailer's best continuations, on the host."""
        shared, static = (np.asarray(self.settings.churn), self.nearest), (binding, self.priced)
        return store.fetch(in_batches(self.size, "go_on", (lanes, plan), shared, static, chosen=chosen))

    def carry_out(self, planned: Planned, week: int, binding: int) -> tuple[State, Account]:
        """Ship the order, let demand come, and sell: the state and the account at the week's end."""
        group, state, weeks = self.group, planned.state, self.group.shape.weeks
        regions, places = group.demand.shape[1], weeks + 1
        sent = in_batches(
            self.size, "ship", (planned.window.lanes, planned.issued, state.stock), (self.nearest,)
        )
        sent = store.fetch(sent)
        delivered = sent.shipped.sum(axis=1)
        came = group.demand[:, :, week]
        # What is kept for this week's demand serves it first; what does not come leaves units spare.
        ready = released(state, np.concatenate([came[:, :, None], planned.expected[:, :, 1:]], axis=2))
        from_kept = ready.kept[:, :, :, 0]
        lanes, entry = planned.window.lanes, planned.window.entry
        grid = np.concatenate([state.backlog[:, :, None], planned.expected - ready.kept.sum(axis=1)], axis=2)
        grid[:, :, 1] = came - from_kept.sum(axis=1)
        units = take(np.where(grid > self.least, grid, 0.0), entry)
        outbound = np.take_along_axis(
            group.outbound, np.minimum(entry // places, regions - 1)[:, None, :], axis=2
        )
        actual = replace(
            lanes,
            demand=units,
            outbound=np.where((units > 0.0)[:, None, :], outbound, np.inf),
            inventory=ready.spare if group.shape.stocked else None,
        )
        plan = planned.issued.reshape(len(came), -1, weeks).copy()
        plan[:, :, 0] = delivered
        live = self.go_on(actual, plan.reshape(len(came), -1), binding)
        spare = live.spare if group.shape.stocked else live.spare + ready.spare
        kept = ready.kept + put(live.kept, entry, regions, places)[:, :, :, 1:]
        waits = put(live.waiting, entry, regions, places)
        following = State(
            spare=spare,
            kept=shifted(kept),
            backlog=waits[:, :, 0]
            + waits[:, :, 1]
            + (grid - put(units, entry, regions, places))[:, :, :2].sum(axis=2),
            stock=sent.stock,
            record=shifted(planned.issued.reshape(plan.shape)).reshape(len(came), -1),
            price=np.full_like(state.price, np.nan),
        )
        churn = planned.price * self.churn(state, planned.issued, week)
        done = account(group, state, live, sent, actual, from_kept, following, came, churn)
        return following, done


def shifted(weekly: Floats) -> Floats:
    """The same, a week later: the first week is over, the last is empty."""
    return np.concatenate([weekly[..., 1:], np.zeros_like(weekly[..., :1])], axis=-1)


def next_price(price: Floats, group: Group) -> Floats:
    """Prices (lane, public node) a week later; the last week's stand for the new one.

    Padded nodes are priced at nothing, so that what a file holds is all there is.
    """
    weekly = price.reshape(len(price), -1, group.shape.weeks)
    weekly = np.where((group.nodes >= 0)[:, :, None], weekly, 0.0)
    return np.concatenate([weekly[:, :, 1:], weekly[:, :, -1:]], axis=2).reshape(price.shape)


def released(state: State, wanted: Floats) -> State:
    """Units kept for more demand than is `wanted` (lane, region, window) become spare."""
    held = state.kept.sum(axis=1)
    over = held > wanted * (1.0 + 1e-12)
    share = np.where(over, wanted / np.where(over, held, 1.0), 1.0)
    kept = state.kept * share[:, None]
    spare = state.spare + (state.kept - kept).sum(axis=(2, 3))
    return replace(state, spare=spare, kept=kept)
