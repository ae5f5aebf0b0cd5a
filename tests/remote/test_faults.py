"""Whatever a vendor at the other end does: a named status for its contracts, no price, the rest finished."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from jaxcpp.agents.border import FAULTS
from jaxcpp.fleet.outside import plan_with_outside
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.vendor_side import VendorSide
from jaxcpp.remote import messages
from jaxcpp.remote.client import RemoteVendor
from jaxcpp.remote.credentials import Credentials
from jaxcpp.remote.server import Answers
from jaxcpp.tables import read_fleet
from tests.remote.certificates import TOKEN, Authority
from tests.remote.conftest import Plain
from tests.remote.sides import write_apart

SETTINGS = Settings(tolerance=1e-5)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The retailer's, without the tables of `hops` (two contracts); `malt` (one) is planned here."""
    folder, _ = write_apart(tmp_path_factory.mktemp("apart"), ("hops",))
    return read_fleet(folder, outside=("hops",))[0]


def ended(fleet, vendor, deadline=None):
    """Plan with `hops` outside: the status of both of its contracts, once all that must hold does."""
    run = plan_with_outside(fleet, {"hops": vendor}, SETTINGS, deadline=deadline)
    rows = [
        dict(zip(run.contracts, values, strict=True)) for values in zip(*run.contracts.values(), strict=True)
    ]
    assert [row["contract_id"] for row in rows] == ["hops:ale", "hops:bock", "malt:cider"]
    assert rows[2]["status"] == "accepted", "the rest of the fleet is finished"
    assert rows[2]["price"] == pytest.approx(84.0, abs=0.01)
    for row in rows[:2]:
        if row["status"] in FAULTS:
            assert np.isnan([row[name] for name in ("price", "cbt", "gain", "supplier_surplus")]).all()
            assert row["paid"] == 0.0
            assert "hops" in row["reason"] or "supplier" in row["reason"]
    return [row["status"] for row in rows[:2]], rows[0]["reason"]


@pytest.fixture
def plan(fleet, remote):
    """How both contracts of `hops` end, and why, with a vendor on loopback."""

    def run(vendor, deadline=5.0, **ours):
        return ended(fleet, remote(vendor, deadline=deadline, **ours), deadline)

    return run


def test_a_plain_vendor_is_no_fault(plan):
    statuses, _ = plan(Plain())
    assert not set(statuses) & set(FAULTS)


def test_a_wrong_token(plan):
    statuses, reason = plan(Plain(), token="another")
    assert statuses == ["refused"] * 2
    assert "token" in reason
    assert "another" not in reason
    assert TOKEN not in reason


@pytest.mark.parametrize(
    ("name", "issuer", "expired", "words"),
    [
        ("hops", "an authority", True, "expired"),
        ("hops", "somebody else", False, "trust"),
        ("malt", "an authority", False, "trust"),
    ],
    ids=["expired", "foreign", "another vendor's"],
)
def test_a_certificate_that_is_not_the_vendors(
    fleet, authority, serve, connect, name, issuer, expired, words
):
    by = authority if issuer == authority.name else Authority(issuer)
    certificate, key = by.issue(name, expired=expired)
    theirs = Credentials(certificate, key, authority.pem, TOKEN)
    agent = serve(Answers("hops", Plain()), theirs)
    ours = authority.credentials("coordinator")
    transport = connect(agent.port, ours)
    statuses, reason = ended(fleet, RemoteVendor("hops", transport))
    assert statuses == ["untrusted"] * 2
    assert words in reason


def test_a_coordinator_that_the_vendor_does_not_know(fleet, authority, serve, connect):
    vendor = Plain()
    agent = serve(Answers("hops", vendor))
    ours = Authority("somebody else").credentials("coordinator", trusts=authority)
    transport = connect(agent.port, ours)
    statuses, _ = ended(fleet, RemoteVendor("hops", transport))
    assert statuses[0] in ("untrusted", "unreachable")
    assert not hasattr(vendor, "frame"), "it was not even told what there is to plan"


def test_an_agent_of_another_vendor(fleet, authority, serve, connect):
    agent = serve(Answers("malt", Plain()))
    ours = authority.credentials("coordinator")
    vendor = RemoteVendor("hops", connect(agent.port, ours))
    statuses, reason = ended(fleet, vendor)
    assert statuses == ["refused"] * 2
    assert "another vendor" in reason


def test_nobody_there(fleet, authority, connect):
    transport = connect(9, authority.credentials("coordinator"))
    assert ended(fleet, RemoteVendor("hops", transport))[0] == ["unreachable"] * 2


class Later(Plain):
    """Behaves, and then does not."""

    def after(self, plan, utility):
        raise NotImplementedError

    def best_plan(self, price):
        plan, utility = super().best_plan(price)
        return self.after(plan, utility) if self.questions > 2 else (plan, utility)


def test_a_slow_vendor(plan):
    wake = threading.Event()

    class Slow(Later):
        def after(self, plan, utility):
            wake.wait(10.0)
            return plan, utility

    statuses, reason = plan(Slow(), deadline=0.8)
    wake.set()
    assert statuses == ["late"] * 2
    assert "0.8" in reason


def test_a_vendor_that_dies(fleet, authority, serve, connect):
    class Dies(Later):
        def after(self, plan, utility):  # noqa: ARG002
            threading.Thread(target=agent.shutdown).start()
            raise RuntimeError("the last words")

    agent = serve(Answers("hops", vendor := Dies()))
    ours = authority.credentials("coordinator")
    statuses, reason = ended(fleet, RemoteVendor("hops", connect(agent.port, ours)))
    assert statuses[0] in ("refused", "unreachable")
    assert "last words" not in reason
    assert vendor.questions == 3


@pytest.mark.slow
@pytest.mark.parametrize(("number", "fault"), [(np.nan, "not_finite"), (-1.0, "negative_units")])
def test_a_number_that_cannot_be_fails_its_own_contract(plan, number, fault):
    class Wrong(Later):
        def after(self, plan, utility):
            plan[0, 0] = number
            return plan, utility

    statuses, _ = plan(Wrong())
    assert statuses[0] == fault
    assert statuses[1] not in FAULTS


class Tampering(Answers):
    """Alters what goes out from the third answer on."""

    def __init__(self, alter):
        super().__init__("hops", Plain())
        self._alter, self._before, self._count = alter, [], 0

    def answer(self, body):
        sent = super().answer(body)
        self._count += 1
        self._before.append(sent)
        return self._alter(sent, self._before) if self._count > 3 else sent


def altered(sent, change, **header):
    head, table, _ = messages.decode(sent, "answer")
    columns = {name: table[name].to_pylist() for name in table.column_names}
    change(columns)
    return messages.encode(replace(head, **header), "answer", columns)


def nothing(columns):
    """Leave the rows as they are."""


def renamed(columns):
    columns["contract_id"] = ["malt:cider", *columns["contract_id"][1:]]


def fewer(columns):
    for name in columns:
        columns[name] = columns[name][:-1]


def turned(columns):
    columns["contract_id"] = columns["contract_id"][::-1]


def longer(columns):
    columns["plan"] = [[*row, 1.0] for row in columns["plan"]]


@pytest.mark.parametrize(
    ("alter", "fault"),
    [
        (lambda sent, _: altered(sent, renamed), "wrong_rows"),
        (lambda sent, _: altered(sent, fewer), "wrong_rows"),
        (lambda sent, _: altered(sent, turned), {"wrong_rows", "inconsistent"}),
        (lambda sent, _: altered(sent, longer), "wrong_shape"),
        (lambda _, before: before[-2], "replayed"),
        (lambda sent, _: altered(sent, nothing, sequence=99), "replayed"),
        (lambda sent, _: altered(sent, nothing, session="another"), "replayed"),
        (lambda sent, _: altered(sent, nothing, vendor_id="malt"), "untrusted"),
        (lambda _sent, _: b"\x00" * 64, "bad_message"),
    ],
    ids=["another contract", "too few", "turned round", "too long", "replayed", "reordered", "session",
         "identity", "noise"],
)  # fmt: skip
def test_an_answer_that_is_not_the_one_asked_for(fleet, remote, alter, fault):
    statuses, _ = ended(fleet, remote(Tampering(alter)))
    assert set(statuses) <= (fault if isinstance(fault, set) else {fault})


def test_currencies_that_differ_are_refused(tmp_path, fleet):
    from jaxcpp.tables import read_side

    _, sides = write_apart(tmp_path, ("hops",))
    (sides["hops"] / "fleet.toml").write_text('currency = "EUR"\n')
    statuses, reason = ended(fleet, VendorSide(read_side(sides["hops"])))
    assert statuses == ["refused"] * 2
    assert "EUR" in reason


@pytest.mark.slow
def test_a_product_that_the_vendor_does_not_offer(tmp_path, fleet):
    """Nothing can be delivered, and all demand must be met: no plan, no price, and no fault of anybody's."""
    import pyarrow.parquet as pq

    from jaxcpp.tables import read_side

    _, sides = write_apart(tmp_path, ("hops",))
    for name in ("offers", "sources", "inbound_lanes"):
        path = sides["hops"] / f"{name}.parquet"
        table = pq.read_table(path)
        pq.write_table(table.filter([product == "bock" for product in table["product_id"].to_pylist()]), path)
    statuses, _ = ended(fleet, VendorSide(read_side(sides["hops"])))
    assert statuses[0] not in ("accepted", "declined", "no_gain", *FAULTS)
    assert statuses[1] == "accepted"
