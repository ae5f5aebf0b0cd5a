"""Lint, types, import order, and a list of dependencies that says what is used and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jaxcpp

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sys.executable).parent
LOADED_BY_JAX = {"jaxlib"}  # pinned beside jax, imported by it
BROUGHT_ALONG = {"markupsafe"}  # jinja2's own strings


@pytest.mark.parametrize(
    ("library", "command"),
    [
        ("ruff", [SCRIPTS / "ruff", "check"]),
        ("ruff", [SCRIPTS / "ruff", "format", "--check"]),
        ("mypy", [sys.executable, "-m", "mypy"]),
        ("importlinter", [SCRIPTS / "lint-imports"]),
    ],
    ids=["lint", "format", "types", "import-order"],
)
def test_the_house_is_in_order(library, command):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


OPTIONAL = ("report", "cluster")
"""Packages of ours whose libraries are an extra of the same name."""


def third_party_imports(folder: Path, without: tuple[str, ...] = ()) -> set[str]:
    """Top-level names of everything imported below `folder` that neither Python nor we bring along."""
    names = set()
    for path in folder.rglob("*.py"):
        if path.relative_to(folder).parts[0] in without:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"jaxcpp", "jaxcpp_kernels"}


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", line)[0] for line in requirements}


def test_dependencies_are_what_the_package_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = names_of(project["dependencies"])
    used = third_party_imports(ROOT / "jaxcpp", without=OPTIONAL)
    assert (declared | names_of(extras["plot"])) - LOADED_BY_JAX == used - LOADED_BY_JAX
    for package in OPTIONAL:
        extra = names_of(extras[package])
        assert extra == third_party_imports(ROOT / "jaxcpp" / package) - declared - BROUGHT_ALONG


def test_one_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d+)?", jaxcpp.__version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]


def test_every_locked_requirement_has_a_hash_and_no_address():
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, lock.name
        pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line, re.IGNORECASE)]
        assert pins, lock.name
        for pin in pins:
            assert "==" in pin, f"{lock.name}: {pin}"
            assert pin.endswith("\\"), f"{lock.name}: {pin} has no hash"
