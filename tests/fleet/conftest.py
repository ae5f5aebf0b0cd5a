"""One random fleet, solved once for all tests that only look at its answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.results import Run
from jaxcpp.fleet.settings import Progress, Settings
from jaxcpp.fleet.solve import plan_fleet
from tests.fleet.answers import Answer, Truth, answers, truth
from tests.fleets import Sample, random_sample, read

CONTRACTS = 240


@dataclass(frozen=True)
class Solved:
    """A fleet, its run with the default settings and flows, and what the oracles say of it."""

    sample: Sample
    fleet: Fleet
    settings: Settings
    run: Run
    progress: list[Progress]
    answers: list[Answer]
    truths: list[Truth]


@pytest.fixture(scope="session")
def solved(tmp_path_factory) -> Solved:
    sample = random_sample(4, CONTRACTS)
    fleet = read(sample.tables(), tmp_path_factory.mktemp("solved") / "fleet")
    settings = Settings(flows=True)
    progress: list[Progress] = []
    run = plan_fleet(fleet, settings, progress.append)
    found = list(answers(run, sample))
    return Solved(sample, fleet, settings, run, progress, found, [truth(answer) for answer in found])
