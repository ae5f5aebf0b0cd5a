"""What goes over the wire: messages as documented, answers unchanged, and only what is still moving."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.agents.border import ANSWERS, AgentFault
from jaxcpp.agents.outside import Offer, kind_of
from jaxcpp.fleet.vendors import Frame, Opened
from jaxcpp.remote import messages
from jaxcpp.remote.messages import OPEN, QUESTIONS, Header
from jaxcpp.remote.server import Answers, RefusedError
from tests.remote.conftest import Plain

FRAME = Frame(
    contract_ids=("hops:ale", "hops:bock", "hops:dubbel"),
    product_ids=("ale", "bock", "dubbel"),
    inbound_ids=(("a", "b"), ("b",), ("a", "b")),
    weeks=2,
    most=np.array([400.0, 300.0, 200.0]),
    width=2,
    currency="USD",
)
PRICE = np.array([[1.0, 20.0, -3.0, 4.0], [5.0, 6.0, 0.0, 0.0], [30.0, 30.0, 30.0, 2.5]])
HEADER = Header("best_plan", "hops", "s", 1, "n")


class All(Plain):
    """Offers everything; nobody checks what it says."""

    def best_response(self, price, proposal, rho):
        return np.abs(price) + proposal * rho[:, None]

    def smoothed_plan(self, price, smoothing):
        numbers = price.sum(axis=1), smoothing, -smoothing
        return (
            np.abs(price),
            *numbers,
            2.0 * price,
            price[:, :, None] - smoothing[:, None, None] * price[:, None, :],
        )

    def value_and_gradient(self, plan):
        return plan.sum(axis=1), 2.0 * plan

    def value(self, plan):
        return np.where(plan.sum(axis=1) > 50.0, -np.inf, plan.sum(axis=1))

    def confirm(self, order):
        return 0.5 * order

    def decide(self, offer):
        return offer.price < 7.0


def asked(agent, method, **question):
    answer = getattr(agent, method)(**question)
    return answer if isinstance(answer, tuple) else (answer,)


def test_answers_come_through_unchanged(remote):
    here = All()
    near, far = here.open(FRAME).agent, remote(All()).open(FRAME)
    np.testing.assert_array_equal(far.reached, FRAME.known)
    rho = np.array([0.5, 1.0, 2.0])
    known = np.repeat(FRAME.known, 2, axis=1)
    plan = np.where(known, np.abs(PRICE), 0.0)
    for method, question in {
        "best_plan": {"price": PRICE},
        "best_response": {"price": PRICE, "proposal": plan, "rho": rho},
        "smoothed_plan": {"price": np.where(known, PRICE, 0.0), "smoothing": rho},
        "value_and_gradient": {"plan": plan},
        "value": {"plan": plan},
        "confirm": {"order": plan},
    }.items():
        expected, found = asked(near, method, **question), asked(far.agent, method, **question)
        for part, one, other in zip(ANSWERS[method], expected, found, strict=True):
            one = np.where(messages.entries(part, known), one, 0.0) if part.by_node else one
            np.testing.assert_array_equal(one, other, err_msg=f"{method} {part.name}")


def test_the_proxy_has_the_methods_of_the_vendor_and_no_other(remote):
    agent = remote(Plain()).open(FRAME).agent
    assert kind_of(agent) == "dual"
    assert not any(hasattr(agent, method) for method in QUESTIONS if method != "best_plan")


def test_only_contracts_that_move_cross_again(remote):
    vendor = Recording()
    agent = remote(vendor).open(FRAME).agent
    first, _ = agent.best_plan(PRICE)
    again, _ = agent.best_plan(PRICE)
    np.testing.assert_array_equal(first, again)
    assert vendor.questions == 1, "the same question is answered here"
    moved = PRICE.copy()
    moved[1, 0] = -9.0
    agent.best_plan(moved)
    assert vendor.questions == 2
    np.testing.assert_array_equal(vendor.seen, moved * np.repeat(FRAME.known, 2, axis=1))


class Recording(Plain):
    def best_plan(self, price):
        self.seen = price
        return super().best_plan(price)


def test_offers_without_a_price_do_not_cross(remote):
    agent = remote(All()).open(FRAME).agent
    plan = np.ones((3, 4))
    accepts = agent.decide(Offer(plan, plan, np.array([5.0, np.nan, 9.0])))
    np.testing.assert_array_equal(accepts, [1.0, 0.0, 0.0])


@pytest.mark.parametrize("method", [OPEN, *QUESTIONS])
@pytest.mark.parametrize("direction", ["question", "answer"])
def test_a_message_is_what_its_schema_says(method, direction):
    shape = messages.schema(method, direction)
    columns = {name: shape.field(name).type and [] for name in shape.names}
    header = Header(method, "hops", "s", 3, "n")
    found, table, facts = messages.decode(
        messages.encode(header, direction, columns, {"weeks": "2"}), direction
    )
    assert found == header
    assert table.schema.equals(shape)
    assert facts["weeks"] == "2"
    assert facts["protocol"] == "jaxcpp-agent/1"


@pytest.mark.parametrize(
    "body",
    [b"", b"no arrow", messages.encode(HEADER, "question", {"contract_id": [], "price": []})[:90]],
    ids=["empty", "text", "cut"],
)
def test_what_is_no_message_is_said_to_be_none(body):
    with pytest.raises(AgentFault, match=r".") as caught:
        messages.decode(body, "answer")
    assert caught.value.fault == "bad_message"


@pytest.mark.parametrize(
    ("header", "columns", "words"),
    [
        (Header("best_plan", "hops", "s", 1, "n", protocol="jaxcpp-agent/2"), {}, "speaks"),
        (HEADER, {"contract_id": ["c"], "price": [[1.0, None]]}, "nulls in price"),
        (HEADER, {"contract_id": [None], "price": [[1.0]]}, "nulls in contract_id"),
    ],
    ids=["version", "null", "no id"],
)
def test_what_is_wrong_with_a_message_is_said(header, columns, words):
    body = messages.encode(header, "question", {"contract_id": [], "price": [], **columns})
    with pytest.raises(AgentFault, match=words):
        messages.decode(body, "question")


def test_an_answer_is_no_question():
    body = messages.encode(HEADER, "question", {"contract_id": [], "price": []})
    with pytest.raises(AgentFault, match="columns"):
        messages.decode(body, "answer")


def question(session="s", sequence=1, vendor="hops", ids=("hops:ale",), method="best_plan", lists=4):
    header = Header(method, vendor, session, sequence, "n")
    if method == "value":
        columns = {"contract_id": list(ids), "plan": [[0.0] * lists] * len(ids)}
    else:
        columns = {"contract_id": list(ids), "price": [[0.0] * lists] * len(ids)}
    return messages.encode(header, "question", columns)


def opened(vendor=None):
    answers = Answers("hops", vendor or Plain())
    columns = {
        "contract_id": list(FRAME.contract_ids),
        "product_id": list(FRAME.product_ids),
        "inbound_ids": [list(ids) for ids in FRAME.inbound_ids],
        "most": FRAME.most,
    }
    answers.answer(messages.encode(Header(OPEN, "hops", "s", 0, "n"), "question", columns, {"weeks": "2"}))
    return answers


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (question(session="t"), "no such session"),
        (question(vendor="malt"), "another vendor"),
        (question(ids=("malt:cider",)), "not opened"),
        (question(ids=("hops:ale", "hops:ale")), "twice"),
        (question(method="value"), "not offered"),
        (question(lists=3), "3 entries for 4"),
        (question(sequence=0), "question 0 after question 0"),
        (b"nonsense", "no Arrow stream"),
    ],
)
def test_the_vendors_end_refuses_in_words(body, words):
    with pytest.raises(RefusedError, match=words):
        opened().answer(body)


def test_a_question_is_answered_once():
    answers = opened()
    answers.answer(question())
    with pytest.raises(RefusedError, match="question 1 after question 1"):
        answers.answer(question())


def test_what_goes_wrong_inside_a_vendor_stays_there(caplog):
    class Leaky(Plain):
        def best_plan(self, price):
            raise ValueError(f"cost 7.13 is secret {len(price)}")

    with pytest.raises(RefusedError) as caught:
        opened(Leaky()).answer(question())
    assert "7.13" not in str(caught.value)
    assert "7.13" in caplog.text, "its own log says it"


def test_a_vendor_that_reaches_little_is_asked_about_little(remote):
    class Near(Plain):
        def open(self, frame):
            self.frame = frame
            reached = frame.known.copy()
            reached[:, 1] = False
            return Opened(self, reached)

        def best_plan(self, price):
            self.seen = price.copy()
            return np.ones_like(price), np.zeros(len(price))

    vendor = Near()
    agent, reached = remote(vendor).open(FRAME)
    plan, _ = agent.best_plan(PRICE)
    open_ = np.repeat(reached, 2, axis=1)
    np.testing.assert_array_equal(vendor.seen, PRICE * open_)
    np.testing.assert_array_equal(plan, open_)
