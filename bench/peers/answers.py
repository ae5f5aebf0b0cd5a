"""What a peer hands back, and the command line they share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.cases import Instances


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


def main(solve: Callable[[Instances, float, int], Answer]) -> None:
    """Read the contracts, solve them `--repeats` times to `--tolerance`, write the answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("instances", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    options = parser.parse_args()
    answer = solve(Instances.load(options.instances), options.tolerance, options.repeats)
    options.answer.write_text(json.dumps(asdict(answer)))
