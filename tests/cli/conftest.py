"""A command line to try, in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jaxcpp.cli.app import app

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., Result]
Spawn = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("JAXCPP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def run() -> Run:
    """`jaxcpp` in this process; `.stdout`, `.stderr`, `.exit_code`."""

    def call(*words: str | Path) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words], prog_name="jaxcpp")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def spawn() -> Spawn:
    """`jaxcpp` in a process of its own, or Python with `program` as its text; None unsets a variable."""

    def call(
        *words: str | Path, program: str | None = None, env: dict[str, str | None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = ["-c", program] if program is not None else ["-m", "jaxcpp"]
        cache = str(ROOT / ".jax_cache")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        wanted = {"JAX_COMPILATION_CACHE_DIR": cache, **os.environ, "PYTHONPATH": path, **(env or {})}
        return subprocess.run(
            [sys.executable, *command, *map(str, words)],
            env={name: value for name, value in wanted.items() if value is not None},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )

    return call


@pytest.fixture
def toy(run, tmp_path):
    folder = tmp_path / "toy"
    assert run("example", "toy", folder).exit_code == 0
    return folder
