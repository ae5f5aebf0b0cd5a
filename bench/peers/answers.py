"""What a peer hands back, and the command line they share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bench.cases import Instances
from bench.memory import peak_megabytes


@dataclass(frozen=True)
class Answer:
    """Least costs found and seconds spent, a number for every repetition."""

    costs: list[float]  # currency, one a contract
    build: list[float]  # seconds to make the solver's arrays
    solve: list[float]  # seconds inside the solver, all cores together (wall)
    device: str
    versions: dict[str, str]
    accuracy: str  # what the peer was asked for, in words
    platform: str = "cpu"  # or "gpu"
    compile: float = 0.0  # seconds of the first run beyond a later one
    certified: list[float] = field(default_factory=list)  # relative gap, one a contract, where there is one
    unbalanced: list[float] = field(default_factory=list)
    """Units by which a plan misses demand, capacity and balance, over demand; where plans may miss any."""
    rounds: list[int] = field(default_factory=list)  # one a contract, where there are rounds
    megabytes: float = 0.0  # most memory that the process, and its workers together, held


Solver = Callable[[Instances, float, int, str], Answer]
"""Contracts, tolerance, repetitions, variant."""


def main(solve: Solver) -> None:
    """Read the contracts, solve them `--repeats` times to `--tolerance`, write the answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("instances", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--contracts", type=int, required=True, help="the first so many")
    parser.add_argument("--variant", default="")
    asked = parser.parse_args()
    instances = Instances.load(asked.instances).some(slice(asked.contracts))
    answer = solve(instances, asked.tolerance, asked.repeats, asked.variant)
    answer = replace(answer, megabytes=answer.megabytes + peak_megabytes())
    asked.answer.write_text(json.dumps(asdict(answer)))
