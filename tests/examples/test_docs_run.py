"""What pages print is true: examples run in their order, options are there, files can be read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jaxcpp.cli.agents import read_agents
from jaxcpp.cli.app import app
from jaxcpp.cli.fees import parse_fees
from jaxcpp.cli.tune import parse_prior

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md"), *ROOT.glob("examples/*/README.md")])
RUNS = re.compile(r"^```python\n(?P<code>.*?)^```|^    jaxcpp (?P<words>[^\n]*)$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["mechanism.md", "numerics.md"])
def test_the_page_is_true(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    found = list(RUNS.finditer((DOCS / page).read_text(encoding="utf-8")))
    assert sum(one["code"] is not None for one in found) >= 2
    assert sum(one["words"] is not None for one in found) >= 3
    for one in found:
        if one["code"] is not None:
            exec(compile(one["code"], page, "exec"), names)
            continue
        done = CliRunner().invoke(app, shlex.split(one["words"], comments=True), prog_name="jaxcpp")
        assert done.exit_code == 0, (one["words"], done.output)


@pytest.mark.slow
def test_the_block_about_gradients():
    """30 units above and 30 below are charged; one more of the first region costs a lane and two charges."""
    import jax
    import jax.numpy as jnp

    import jaxcpp as cpp

    supplier = cpp.Supplier(unit_cost=[[10, 5], [1, 2]], capacity=[100, 10], margin=20)
    names: dict[str, Any] = {"jax": jax, "jnp": jnp, "cpp": cpp, "supplier": supplier}
    *above, last = re.findall(r"```python\n(.*?)```", page_text("gradients.md"), re.DOTALL)[0].splitlines()
    exec(compile("\n".join([*above, f"found = {last}"]), "gradients.md", "exec"), names)
    charge, demand = names["found"]
    assert charge == pytest.approx(60.0, rel=1e-3)
    assert demand == pytest.approx([2.0, 0.0], abs=1e-3)


@pytest.mark.slow
def test_the_block_about_a_fleet_s_gradients(monkeypatch):
    """The fee is paid once, and the charge above just-in-time on the 30 units that go to the second node."""
    import jax

    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {"jax": jax}
    exec(
        compile(re.findall(r"```python\n(.*?)```", page_text("gradients.md"), re.DOTALL)[1], "", "exec"),
        names,
    )
    fees = names["by_fee"]
    assert fees.alpha == pytest.approx([1.0], abs=1e-12)
    assert fees.over.tolist() == [pytest.approx([0.0, 30.0], abs=1e-3)]
    assert fees.under.tolist() == [pytest.approx([30.0, 0.0], abs=1e-3)]
    assert names["batch"].ids.tolist() == ["maker:widget"]


def page_text(name):
    return (DOCS / name).read_text(encoding="utf-8")


def told(page):
    """The words of every command that a page prints, placeholders and all."""
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"^    (?:.*&& )?(?:\S*/)?jaxcpp ([a-z][^\n]*)$", text, re.MULTILINE):
        for command in re.split(r" && (?:\S*/)?jaxcpp ", line):
            yield shlex.split(command, comments=True)


def known(*words):
    """Whether there are such a command and such options: help is shown once all words are understood."""
    return CliRunner().invoke(app, [*words, "--help"], prog_name="jaxcpp").exit_code == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_printed_is_there(page):
    assert [words for words in told(page) if not known(*words)] == []


def test_commands_are_found_and_options_that_are_not_there_are_told():
    assert sum(1 for page in PAGES for _ in told(page)) > 30
    assert known("plan", "FLEET", "RUN", "--fee", "none")
    assert not known("plan", "FLEET", "RUN", "--colour")
    assert not known("paint", "FLEET")


def test_files_that_pages_print_can_be_read(tmp_path):
    blocks = [
        block
        for page in ("files.md", "tuning.md", "agent-protocol.md")
        for block in re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    ]
    fees, prior, agents = (tmp_path / f"{name}.toml" for name in ("fees", "prior", "agents"))
    for file, block in zip((fees, prior, agents), blocks, strict=True):
        file.write_text(block, encoding="utf-8")
    assert {rule.vendor for rule in parse_fees([str(fees)])} == {"", "maker"}
    assert parse_prior(prior).common == 0.2
    for name in re.findall(r'"([\w-]+\.(?:pem|key|token))"', blocks[2]):
        (tmp_path / name).write_text("nothing secret")
    assert read_agents(agents).deadline == 30.0
