"""Flags over environment over file over default, and one clear message for what makes no sense."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from jaxcpp.cli import plan as command
from jaxcpp.cli.fees import parse_fees
from jaxcpp.cli.status import Status
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings

NO_FEE = dataclasses.asdict(FeeRule())


@pytest.fixture
def settings(run, monkeypatch):
    """The settings that the words after `plan FLEET RUN` come to, with nothing read or solved."""
    seen: dict[str, Any] = {}

    def note(
        *folders_and_settings: Any,
        skip_bad: bool,
        device: str | None,
        agents: Path | None,
        warm_start: Path | None,
    ) -> tuple:
        settings: Settings = folders_and_settings[-1]
        seen.update(
            dataclasses.asdict(settings),
            skip_bad=skip_bad,
            device=device,
            agents=agents,
            warm_start=warm_start,
        )
        return None, [], ""

    monkeypatch.setattr(command, "_plan", note)
    monkeypatch.setattr(command, "_report", lambda *_, **__: Status.DONE)

    def call(*words: str | Path) -> dict[str, Any]:
        result = run("plan", "fleet", "run", *words)
        assert result.exit_code == 0, result.stderr
        return dict(seen)

    return call


def test_defaults_are_the_settings_own(settings):
    assert settings() == {
        **dataclasses.asdict(Settings()),
        "skip_bad": False,
        "device": None,
        "warm_start": None,
        "agents": None,
    }


def test_every_flag_arrives(settings):
    words = "--fee additive=50 --tolerance 1e-7 --method admm --units integer --flows --skip-bad"
    more = "--batch 7 --max-rounds 9 --absent excluded --device cpu --warm-start earlier"
    more += " --just-in-time voluntary"
    assert settings(*words.split(), *more.split()) == {
        "fees": ({**NO_FEE, "additive": 50.0},),
        "tolerance": 1e-7,
        "method": "admm",
        "units": "integer",
        "flows": True,
        "skip_bad": True,
        "absent": "excluded",
        "just_in_time": "voluntary",
        "batch": 7,
        "max_rounds": 9,
        "device": "cpu",
        "agents": None,
        "warm_start": "earlier",
    }


def test_flag_over_environment_over_file_over_default(settings, monkeypatch, tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(
        'fee = "additive=1"\ntolerance = 1e-3\nmax-rounds = 30\nskip_bad = true\nmethod = "admm"\n'
    )
    from_file = settings("--config", file)
    assert from_file["tolerance"] == 1e-3
    assert from_file["fees"][0]["additive"] == 1.0
    assert from_file["max_rounds"] == 30
    assert from_file["skip_bad"] is True
    assert from_file["units"] == Settings().units
    monkeypatch.setenv("JAXCPP_CONFIG", str(file))
    monkeypatch.setenv("JAXCPP_TOLERANCE", "1e-4")
    monkeypatch.setenv("JAXCPP_FEE", "additive=2")
    assert (settings()["tolerance"], settings()["method"]) == (1e-4, "admm")
    assert settings()["fees"][0]["additive"] == 2.0
    assert settings("--tolerance", "1e-6")["tolerance"] == 1e-6
    assert settings("--method", "newton")["method"] == "newton"


@pytest.mark.parametrize(
    ("texts", "rules"),
    [
        ([], ()),
        (["none"], ()),
        (["additive=0"], (FeeRule(),)),
        (["additive=1e2"], (FeeRule(additive=100.0),)),
        (["multiplicative=0.1"], (FeeRule(multiplicative=0.1),)),
        (["roi=0.1"], (FeeRule(roi=0.1),)),
        (["roi-ex-post=0.1"], (FeeRule(roi_ex_post=0.1),)),
        (["deviation=over:0.2,under:0.1"], (FeeRule(over=0.2, under=0.1),)),
        (["deviation=under:0.1"], (FeeRule(under=0.1),)),
        (["additive=50", "multiplicative=0.1"], (FeeRule(additive=50.0, multiplicative=0.1),)),
        (["additive=50", "additive=7"], (FeeRule(additive=57.0),)),
    ],
)
def test_fees(texts, rules):
    assert parse_fees(texts) == rules


def test_a_file_of_fees(tmp_path):
    file = tmp_path / "fees.toml"
    file.write_text(
        "additive = 5\n"
        "[product.widget]\nroi = 0.5\n"
        "[vendor.maker]\nmultiplicative = 0.1\nroi-ex-post = 0.2\n"
        "[vendor.maker.product.widget]\ndeviation = { over = 0.2, under = { N2 = [0.1, 0.3], '*' = 1 } }\n"
    )
    assert parse_fees([str(file)]) == (
        FeeRule(additive=5.0),
        FeeRule(product="widget", roi=0.5),
        FeeRule(vendor="maker", multiplicative=0.1, roi_ex_post=0.2),
        FeeRule(vendor="maker", product="widget", over=0.2, under={"N2": (0.1, 0.3), "*": 1.0}),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("additive = 'much'\n", "fees.toml: additive must be a number, not 'much'"),
        ("[vendor.maker]\nroi = -1\n", "fees.toml: vendor.maker.roi must be finite and at least 0"),
        ("[vendor.maker]\ntax = 1\n", "fees.toml: vendor.maker.tax is unknown"),
        ("[vendor]\nmaker = 1\n", "fees.toml: vendor must hold tables of fees"),
        ("[product.w.deviation]\nabove = 1\n", "fees.toml: product.w.deviation.above is unknown"),
        ("deviation = 1\n", "fees.toml: deviation is unknown; known: additive"),
        ("deviation = {over = {N1 = true}}\n", "fees.toml: deviation.over.N1 must be a number, not True"),
        ("additive = \n", "is not TOML"),
    ],
)
def test_a_bad_file_of_fees(run, tmp_path, text, message):
    file = tmp_path / "fees.toml"
    file.write_text(text)
    result = run("plan", tmp_path, tmp_path / "run", "--fee", file)
    assert result.exit_code == Status.BAD_INPUT
    assert message in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fee", "flat=3"], "unknown fee 'flat=3'; known fees: none, additive=AMOUNT"),
        (["--fee", "50"], "unknown fee '50'"),
        (["--fee", "additive"], "'' in 'additive' is not a number"),
        (["--fee", "additive=lots"], "'lots' in 'additive=lots' is not a number"),
        (["--fee", "additive=-1"], "must be finite and at least 0"),
        (["--fee", "deviation=0.2"], "'deviation=0.2' is not deviation=over:AMOUNT,under:AMOUNT"),
        (["--fee", "multiplicative=x"], "'x' in 'multiplicative=x' is not a number"),
        (["--fee", "none", "--fee", "fees.toml"], "fees.toml cannot be combined with other fees"),
        (["--fee", "nowhere.toml"], "cannot read nowhere.toml"),
        (["--fee", "additive=inf"], "must be finite and at least 0"),
        (["--fee", "additive=nan"], "must be finite and at least 0"),
        (["--tolerance", "0"], "0 is not between 0 and 1"),
        (["--tolerance", "-1e-5"], "-1e-05 is not between 0 and 1"),
        (["--tolerance", "nan"], "nan is not between 0 and 1"),
        (["--tolerance", "small"], "Input should be a valid number"),
        (["--method", "simplex"], "'simplex' is not one of 'newton', 'admm'"),
        (["--units", "dozens"], "'dozens' is not one of 'continuous', 'integer'"),
        (["--batch", "0"], "--batch"),
        (["--max-rounds", "-3"], "--max-rounds"),
        (["--device", "abacus"], "'abacus' is not one of 'cpu', 'gpu'"),
        (["--tolerence", "1"], "No such option"),
        (["--config", "nowhere.toml"], "cannot read nowhere.toml: No such file or directory"),
    ],
)
def test_impossible_values(run, tmp_path, words, message):
    result = run("plan", tmp_path, tmp_path / "run", *words)
    assert result.exit_code == Status.BAD_INPUT
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tolerence = 1e-3\n",
            "sets tolerence; known names: absent, agents, batch, cluster, device, fee, flows, just_in_time",
        ),
        ("tolerance = \n", "is not TOML"),
        ("tolerance = 2.0\n", "2 is not between 0 and 1"),
        ("batch = 'many'\n", "--batch"),
        ("fee = 'flat=1'\n", "unknown fee 'flat=1'"),
    ],
)
def test_a_bad_file(run, tmp_path, text, message):
    file = tmp_path / "plan.toml"
    file.write_text(text)
    result = run("plan", tmp_path, tmp_path / "run", "--config", file)
    assert result.exit_code == Status.BAD_INPUT
    assert message in result.stderr


def test_a_bad_value_in_the_environment_names_the_variable(run, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXCPP_TOLERANCE", "7")
    result = run("plan", tmp_path, tmp_path / "run")
    assert result.exit_code == Status.BAD_INPUT
    assert "JAXCPP_TOLERANCE" in result.stderr
