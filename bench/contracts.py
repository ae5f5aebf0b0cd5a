"""Contracts a second, beside peers, on the same contracts: `python -m bench contracts --size M`.

Nothing is told of a time unless the answers agree.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from rich.table import Table

from bench import limits
from bench.cases import CASES, Case, Floats, generate
from bench.peers.answers import Answer
from bench.peers.registry import PEERS, Peer, ask
from bench.stored import Document, Row, document, rate

BATCHES = {"S": 1024, "M": 512, "L": 64, "W": 16}
ROUNDING = 1e-8  # what an "exact" cost may miss by in double precision and default tolerances

Asked = tuple[str, float]
"""A peer's name and the tolerance it was given."""


class DisagreementError(Exception):
    """The peers' answers are not those of the same problem; says whose and by how much."""


@dataclass(frozen=True)
class Plan:
    """What is compared: contracts of one size, and to what accuracy."""

    size: str = "M"
    batch: int = 512
    tolerances: tuple[float, ...] = (1e-4, 1e-6)
    repeats: int = 3
    seed: int = 0

    @property
    def case(self) -> Case:
        """The size of a contract."""
        return CASES[self.size]


def compare(
    plan: Plan,
    peers: dict[str, Peer],
    told: Callable[[str], None] = lambda _: None,
    kind: str = "contracts",
) -> Document:
    """Ask every peer, hold the answers against each other, and make the document.

    Raises DisagreementError where a peer that should be exact is not, or a certificate does not hold.
    """
    instances = generate(plan.case, plan.batch, plan.seed)
    answers: dict[Asked, Answer] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances.npz"
        instances.save(path)
        for name, peer in peers.items():
            for tolerance in peer.given(plan.tolerances):
                told(f"{plan.size}: {peer.title} at {tolerance:g}")
                count = peer.contracts(plan.size, plan.batch)
                answers[name, tolerance] = ask(peer, path, tolerance, plan.repeats, count)
    wrong = disagreements(answers, best_known(answers))
    if wrong:
        raise DisagreementError("\n  ".join(["the answers disagree:", *wrong]))
    reached = accuracy(answers, best_known(answers))
    rows = [row(asked, answer, reached[asked], plan) for asked, answer in answers.items()]
    return document(kind, rows, size=plan.size, case=asdict(plan.case), batch=plan.batch, seed=plan.seed)


def best_known(answers: dict[Asked, Answer]) -> Floats:
    """The least cost of every contract, by the peers whose plans keep every constraint [currency]."""
    kept = [answer.costs for answer in answers.values() if not answer.unbalanced]
    kept = kept or [answer.costs for answer in answers.values()]
    best = np.full(max(map(len, kept)), np.inf)
    for costs in kept:
        best[: len(costs)] = np.minimum(best[: len(costs)], costs)
    return best


def accuracy(answers: dict[Asked, Answer], best: Floats) -> dict[Asked, float]:
    """How far each answer is from the best known, in the worst contract, as a fraction of its cost.

    A plan that misses demand or balance is as far off as the share of units that it misses, at least.
    """
    return {
        asked: max(
            float(np.max(np.abs(np.array(answer.costs) / best[: len(answer.costs)] - 1.0))),
            *answer.unbalanced,
            0.0,
        )
        for asked, answer in answers.items()
    }


def disagreements(answers: dict[Asked, Answer], best: Floats) -> list[str]:
    """What is wrong with the answers, in words; nothing where they agree."""
    wrong = [
        f"{name}: a plan {missed:.1e} from the best known, tolerance {tolerance:.1e}"
        for (name, tolerance), missed in accuracy(answers, best).items()
        if not missed <= tolerance + ROUNDING and (PEERS[name].exact or np.isnan(missed))
    ]
    for (name, _), answer in answers.items():
        if answer.certified:
            costs = np.array(answer.costs)
            true = costs / best[: len(costs)] - 1.0
            beyond = float(np.max(true - np.array(answer.certified)))
            if not beyond <= ROUNDING:
                wrong.append(f"{name}: true gap beyond the certified one by {beyond:.1e}")
    return wrong


def row(asked: Asked, answer: Answer, reached: float, plan: Plan) -> Row:
    """What is kept of a peer's answer."""
    name, tolerance = asked
    facts = asdict(answer)
    gaps = np.array(facts.pop("certified"))
    del facts["costs"], facts["unbalanced"]
    count = len(answer.costs)
    spent = statistics.median(answer.solve) + statistics.median(answer.build)
    return {
        "label": f"{PEERS[name].title}, {tolerance:g}",
        "peer": name,
        "title": PEERS[name].title,
        "tolerance": tolerance,
        "contracts": count,
        "contracts_per_second": count / statistics.median(answer.solve),
        "contracts_per_second_with_building": count / spent,
        "accuracy_reached": reached,
        "worst_certified_gap": float(gaps.max()) if len(gaps) else None,
        "certified": float(np.mean(gaps <= tolerance)) if len(gaps) else None,
        **facts,
        "rounds": spread(answer.rounds),
    } | _share(name, answer, count / statistics.median(answer.solve), plan)


def _share(name: str, answer: Answer, contracts_per_second: float, plan: Plan) -> Row:
    """Of the machine's limits, for price Newton; they are measured in the same run."""
    if PEERS[name].module != "bench.peers.jaxcpp_batch" or PEERS[name].variant != "newton":
        return {}
    from bench.machine import ceilings

    found = ceilings()
    rounds = float(np.mean(answer.rounds)) if answer.rounds else 0.0
    return {"ceilings": found, "share": limits.shares(plan.case, rounds, contracts_per_second, found)}


def spread(rounds: ArrayLike) -> dict[str, float] | None:
    """Median, 99 % and most; nothing where there are none."""
    found = np.asarray(rounds)
    if not found.size:
        return None
    return {
        "median": float(np.median(found)),
        "p99": float(np.quantile(found, 0.99, method="higher")),
        "most": float(found.max()),
    }


def shown(result: Document) -> Table:
    """A comparison as people read it."""
    case = Case(**result["case"])
    weeks = f" x {case.weeks} weeks" if case.weeks > 1 else ""
    title = (
        f"{result['size']}: {case.inbound} inbound x {case.regions} regions x {case.sources} sources{weeks}"
    )
    table = Table(title=title, box=None, padding=(0, 2, 0, 0))
    columns = (
        "", "asked", "contracts", "a second", "ratio", "with building", "accuracy", "rounds", "compile",
        "MB", "on",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column in ("", "on") else "right", no_wrap=True)
    first = rate(result["rows"][0])
    for line in result["rows"]:
        table.add_row(
            line["title"],
            f"{line['tolerance']:.0e}",
            f"{line['contracts']:,}",
            f"{rate(line):,.1f}",
            f"{rate(line) / first:.3g}",
            f"{line['contracts_per_second_with_building']:,.1f}",
            f"{line['accuracy_reached']:.0e}",
            in_short(line.get("rounds")),
            f"{line['compile']:.1f} s",
            f"{line.get('megabytes', 0.0):,.0f}",
            line["device"],
        )
    table.caption = "\n".join(_share_in_words(line) for line in result["rows"] if "share" in line)
    return table


def _share_in_words(line: Row) -> str:
    share, most = line["share"], line["ceilings"]
    return (
        f"{line['label']}: {share['of_bandwidth']:.1%} of {most['gigabytes_per_second']:g} GB/s, "
        f"{share['of_arithmetic']:.1%} of {most['float64_gigaflops']:g} GFLOP/s counted dense"
    )


def in_short(rounds: dict[str, Any] | None) -> str:
    """Median / 99 % / most."""
    return "" if rounds is None else " / ".join(f"{rounds[part]:.0f}" for part in ("median", "p99", "most"))
