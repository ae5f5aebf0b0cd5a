"""The command before any command: help, version, statuses, and what stays unloaded."""

from __future__ import annotations

import pytest

import jaxcpp
from jaxcpp.cli.status import Status

AFTER = """
import sys
from jaxcpp.cli.app import main
try:
    main({words!r})
except SystemExit as leaving:
    status = leaving.code
heavy = [name for name in ("jax", "pyarrow", "scipy", "rich", "numpy") if name in sys.modules]
print("status", status, "loaded", heavy)
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["plan", "--help"], ["check", "-h"]])
def test_help_and_version_load_nothing_heavy(spawn, words):
    done = spawn(program=AFTER.format(words=words))
    assert done.stdout.rstrip().endswith("status 0 loaded []"), done.stdout + done.stderr


def test_importing_the_package_loads_nothing_heavy(spawn):
    program = "import sys, jaxcpp; print([name for name in ('jax', 'numpy', 'typer') if name in sys.modules])"
    assert spawn(program=program).stdout.strip() == "[]"


def test_tables_start_no_jax(spawn):
    assert spawn(program="import sys, jaxcpp.tables; print('jax' in sys.modules)").stdout.strip() == "False"


def test_the_public_names_load_from_their_homes():
    assert {"AdditiveFee", "Contract", "Retailer", "Supplier", "coordinate"} < set(dir(jaxcpp))
    for name in jaxcpp.__all__:
        assert getattr(jaxcpp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = jaxcpp.colour


def test_version(run):
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"jaxcpp {jaxcpp.__version__}\n")


def test_without_arguments_the_help_and_status_2(run):
    result = run()
    assert result.exit_code == Status.BAD_INPUT
    assert "Usage: jaxcpp" in result.stderr
    assert result.stdout == ""


def test_the_help_names_every_command(run):
    text = run("--help").stdout
    for name in ("plan", "menu", "audit", "check", "example", "info"):
        assert f"\n  {name} " in text


def test_an_unknown_command(run):
    result = run("plann", "a", "b")
    assert result.exit_code == Status.BAD_INPUT
    assert "No such command 'plann'" in result.stderr


@pytest.mark.parametrize(("signal", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_run(spawn, tmp_path, signal, status):
    """The signal arrives while the fleet is read: nothing is written, the status says which."""
    program = f"""
import signal
import jaxcpp.tables
from jaxcpp.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs behind
jaxcpp.tables.read_fleet = lambda *_, **__: signal.raise_signal(signal.{signal})
main(["plan", {str(tmp_path)!r}, {str(tmp_path / "run")!r}])
"""
    done = spawn(program=program)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_fault_of_ours_keeps_its_traceback(spawn, tmp_path):
    program = f"""
import jaxcpp.tables
from jaxcpp.cli.app import main
jaxcpp.tables.read_fleet = lambda *_, **__: 1 / 0
main(["check", {str(tmp_path)!r}])
"""
    done = spawn(program=program)
    assert done.returncode == Status.OUR_FAULT
    assert "ZeroDivisionError" in done.stderr
