"""Every command that a page prints is run, on small fleets: what it says in capitals has a small one here.

Those that take long, or need somebody at the other end, are run by tests of their own, with other numbers;
the long ones also here, as they are printed, with `-m exhaustive`.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from jaxcpp.cli.app import app
from jaxcpp.tables import write_fleet
from tests.examples.test_docs_run import DOCS, PAGES, ROOT, told
from tests.fleets import from_problems
from tests.strategies import Options, build

TWO_SIDES = {
    "serve-agent": "tests/remote/test_same_contracts.py",
    "--agents": "tests/remote/test_same_contracts.py",
    "--cluster": "tests/cluster/test_parts.py",
}
"""Words of commands that need somebody at the other end, and the tests that have one."""
LONG = {
    "audit": "tests/cli/test_menu.py",
    "roll": "tests/cli/test_roll.py",
    "sweep": "tests/cli/test_sweep.py",
    "tune": "tests/cli/test_tune.py",
    "admm": "tests/cli/test_plan.py",
}
"""Words of commands that take long, and the tests that run them."""
WHOLE_PAGES = ("mechanism.md", "numerics.md")
"""Pages that tests run from top to bottom, with their Python."""
NEW = ("RUN", "TONIGHT", "DIR", "runs/iowa", "runs/pilot", "runs/toy")
"""Folders that a command makes; of one page they are one where it goes on with it."""
WEEKS = 18
"""Four to look back on, nine to roll, five to look ahead."""


def run(*words):
    result = CliRunner().invoke(app, list(map(str, words)), prog_name="jaxcpp")
    assert result.exit_code == 0, (words, result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """What the words of the pages stand for, and a folder for what they make."""
    folder = tmp_path_factory.mktemp("world")
    run("example", "toy", folder / "fleet")
    run("plan", folder / "fleet", folder / "planned")
    problem = build(Options(inbound=2, regions=2, sources=1, weeks=WEEKS, lost_sales=True, seed=1))
    problem.demand[:] = np.maximum(problem.demand, 1.0)
    problem.capacity[:] = 40.0
    write_fleet(folder / "weeks", from_problems({"rum": problem}).tables(), {"name": "rum"})
    prior = re.findall(r"```toml\n(.*?)```", (DOCS / "tuning.md").read_text(encoding="utf-8"), re.DOTALL)
    (folder / "prior.toml").write_text(prior[0], encoding="utf-8")
    (folder / "names.csv").write_text("vendor_id,vendor_name\nmaker,Maker & Sons\n", encoding="utf-8")
    made = {
        **dict.fromkeys(("FLEET", "my-fleet", "examples/iowa", "examples/toy"), folder / "fleet"),
        **dict.fromkeys(("weeks", "examples/iowa-roll"), folder / "weeks"),
        **dict.fromkeys(("LAST-NIGHT", "LAST_NIGHT"), folder / "planned"),
        "PRIOR.toml": folder / "prior.toml",
        "FILE": folder / "names.csv",
        "CONTRACT": "maker:widget",
    }
    return {name: str(value) for name, value in made.items()}, folder


def meant(page, words, at, world):
    """The command with small things for what its words stand for."""
    known, folder = dict(world[0]), world[1]
    if page.name == "report.md":
        known["RUN"] = known["LAST-NIGHT"]
    if "roll" in words[:1]:
        known |= dict.fromkeys(("FLEET", "DIR"), known["weeks"])
    if words[0] == "example":
        known = {}
    here = folder / page.parent.name / page.stem
    made = {name: str(here / (name if page.name == "scale.md" else f"{name}-{at}")) for name in NEW}
    made |= {name: str(here / name) for name in ("my-run", "my-fleet", "weeks")}
    return [{**made, **known}.get(word, word) for word in words]


COMMANDS = [page for page in PAGES if page.name not in WHOLE_PAGES]
IDS = [str(page.relative_to(ROOT)) for page in COMMANDS]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Some commands write where they are called."""
    monkeypatch.chdir(tmp_path)


def run_page(page, world, but):
    """The page's commands in their order, but for those with one of some words."""
    for at, words in enumerate(told(page)):
        if not but & set(words):
            run(*meant(page, words, at, world))


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("page", COMMANDS, ids=IDS)
def test_every_command_runs(page, world):
    run_page(page, world, set(TWO_SIDES) | set(LONG))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("page", COMMANDS, ids=IDS)
def test_the_long_ones_run_too(page, world):
    run_page(page, world, set(TWO_SIDES))


def test_the_others_are_run_where_it_says():
    words = {word for page in COMMANDS for command in told(page) for word in command}
    for word, file in (TWO_SIDES | LONG).items():
        assert word in words, f"no page prints {word} any more"
        sought = '"local:2"' if word == "--cluster" else f'"{word}"'
        assert sought in (ROOT / file).read_text(encoding="utf-8"), f"{file} no longer runs {word}"
