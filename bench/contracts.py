"""Contracts a second, beside exact peers, on the same contracts: `python -m bench.contracts --size M`.

The answers are compared first; nothing is timed unless they agree.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.cases import CASES, generate
from bench.machine import where
from bench.peers.answers import Answer

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
BATCHES = {"S": 1024, "M": 512, "L": 64, "W": 16}
ROUNDING = 1e-8  # what an "exact" cost may miss by in double precision and default tolerances


@dataclass(frozen=True)
class Peer:
    """A module to run, the library it needs, and the name in the table."""

    module: str
    needs: str
    title: str


PEERS = {
    "jaxcpp": Peer("bench.peers.jaxcpp_batch", "jax", "jaxcpp"),
    "ortools": Peer("bench.peers.ortools_flow", "ortools", "OR-Tools flow"),
    "highs": Peer("bench.peers.highs_lp", "highspy", "HiGHS"),
}


def ask(peer: Peer, instances: Path, tolerance: float, repeats: int) -> Answer:
    """Run one peer in its own process. Raises CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answer.json"
        command = [sys.executable, "-m", peer.module, str(instances), str(out)]
        command += ["--tolerance", repr(tolerance), "--repeats", str(repeats)]
        subprocess.run(command, cwd=ROOT, check=True)
        return Answer(**json.loads(out.read_text()))


def accuracy(answers: dict[str, Answer]) -> dict[str, float]:
    """How much dearer than the cheapest plan each peer's are, the worst contract, as a fraction."""
    costs = {name: np.array(answer.costs) for name, answer in answers.items()}
    best = np.min(list(costs.values()), axis=0)
    return {name: float(np.max((found - best) / best)) for name, found in costs.items()}


def disagreements(answers: dict[str, Answer], tolerance: float) -> list[str]:
    """What is wrong with the answers, in words; nothing where they agree to the tolerance."""
    wrong = [
        f"{name}: a plan {missed:.1e} dearer than the best known, tolerance {tolerance:.1e}"
        for name, missed in accuracy(answers).items()
        if not missed <= tolerance + ROUNDING
    ]
    best = np.min([answer.costs for answer in answers.values()], axis=0)
    for name, answer in answers.items():
        if answer.certified:
            true = (np.array(answer.costs) - best) / best
            beyond = float(np.max(true - np.array(answer.certified)))
            if not beyond <= ROUNDING:
                wrong.append(f"{name}: true gap beyond the certified one by {beyond:.1e}")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Check, time, print and store one comparison; 1 where the answers disagree."""
    options = _options(arguments)
    out = Console(stderr=True)
    peers = {}
    for name in options.peers.split(","):
        if importlib.util.find_spec(PEERS[name].needs) is None:
            out.print(f"{PEERS[name].title} is left out: {PEERS[name].needs} is not installed")
        else:
            peers[name] = PEERS[name]
    instances = generate(CASES[options.size], options.batch, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances.npz"
        instances.save(path)
        answers = {name: ask(peer, path, options.tolerance, 1) for name, peer in peers.items()}
        wrong = disagreements(answers, options.tolerance)
        if wrong:
            out.print("the answers disagree, nothing is timed:", *wrong, sep="\n  ")
            return 1
        timed = {name: ask(peer, path, options.tolerance, options.repeats) for name, peer in peers.items()}
    rows = [_row(name, timed[name], len(instances), accuracy(timed)[name]) for name in timed]
    Console().print(_table(options.size, rows))
    stored = _store(options, rows)
    out.print(f"written to {stored}")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.contracts", description=__doc__)
    parser.add_argument("--size", choices=sorted(CASES), default="M")
    parser.add_argument("--batch", type=int, help="contracts (default: by size)")
    parser.add_argument("--tolerance", type=float, default=1e-6, help="relative cost difference allowed")
    parser.add_argument("--repeats", type=int, default=3, help="timed repetitions; the median counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the stored result")
    parser.add_argument("--peers", default=",".join(PEERS), help="which, separated by commas")
    options = parser.parse_args(arguments)
    options.batch = options.batch or BATCHES[options.size]
    return options


def _row(name: str, answer: Answer, contracts: int, reached: float) -> dict[str, Any]:
    solve = statistics.median(answer.solve)
    build = statistics.median(answer.build)
    facts = asdict(answer)
    del facts["costs"], facts["certified"]
    return {
        "peer": name,
        "contracts_per_second": contracts / solve,
        "contracts_per_second_with_building": contracts / (solve + build),
        "accuracy_reached": reached,
        "worst_certified_gap": max(answer.certified) if answer.certified else None,
        **facts,
    }


def _table(size: str, rows: list[dict[str, Any]]) -> Table:
    case = CASES[size]
    weeks = f" x {case.weeks} weeks" if case.weeks > 1 else ""
    title = f"{size}: {case.inbound} inbound x {case.regions} regions x {case.sources} sources{weeks}"
    table = Table(title=title, box=None, padding=(0, 2, 0, 0))
    for column in ("", "contracts/s", "ratio", "with building", "accuracy", "on"):
        table.add_column(column, justify="left" if column in ("", "on") else "right", no_wrap=True)
    first = rows[0]["contracts_per_second"]
    for row in rows:
        table.add_row(
            PEERS[row["peer"]].title,
            f"{row['contracts_per_second']:,.1f}",
            f"{row['contracts_per_second'] / first:.2f}",
            f"{row['contracts_per_second_with_building']:,.1f}",
            f"{row['accuracy_reached']:.0e}",
            row["device"],
        )
    return table


def _store(options: argparse.Namespace, rows: list[dict[str, Any]]) -> Path:
    platforms = {row["platform"] for row in rows}
    path = (
        options.results
        / f"contracts-{options.size}-{options.batch}-{'gpu' if 'gpu' in platforms else 'cpu'}.json"
    )
    document = {
        "case": asdict(CASES[options.size]),
        "batch": options.batch,
        "seed": options.seed,
        "tolerance": options.tolerance,
        "repeats": options.repeats,
        **where(),
        "rows": rows,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
