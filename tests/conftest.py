"""Strict numerics for every test, and shape checks on every annotated function.

Float64, no silent promotion of types or ranks, warnings as errors (pyproject.toml). The shapes in
the annotations of the numerical packages are checked at run time wherever beartype is installed;
`--no-shape-checks` turns that off.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path

import jax
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# See jaxcpp.cli.backend: batched factorizations may wait for each other for ever otherwise.
os.environ.setdefault("PJRT_NPROC", "1")

ROOT = Path(__file__).resolve().parent.parent
MANY_MAPS = 5_000
CHECKED = [
    f"jaxcpp.{name}"
    for name in ("transport", "agents", "consensus", "mechanism", "horizon", "fleet.programs")
]

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

# A first example compiles, later ones do not: a deadline per example would fail at random. Fixed
# examples make a failure the same one on every machine.
settings.register_profile("house", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-shape-checks",
        action="store_true",
        help="do not check the shapes in jaxcpp's annotations at run time",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("exhaustive") is not None:
            item.add_marker(pytest.mark.slow)


def _shape_checks(config: pytest.Config) -> bool:
    return importlib.util.find_spec("beartype") is not None and not config.getoption("--no-shape-checks")


def pytest_configure(config: pytest.Config) -> None:
    if _shape_checks(config):
        install_import_hook(CHECKED, "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def _programs_end_with_their_module():
    """XLA maps memory for every program it loads, and a process may hold only so many maps (65,530)."""
    yield
    jax.clear_caches()
    programs = sys.modules.get("jaxcpp.fleet.programs")
    if programs is not None and _maps() > MANY_MAPS:
        programs.PROGRAMS._known.clear()  # outside of tests nobody lets go of them
        gc.collect()


def _maps() -> int:
    """Memory maps of this process; none where the system does not tell."""
    try:
        return len(Path("/proc/self/maps").read_text(encoding="utf-8").splitlines())
    except OSError:
        return 0


def pytest_report_header(config: pytest.Config) -> str:
    state = "on" if _shape_checks(config) else "off"
    return f"jaxcpp: jax {jax.__version__}, float64, shape checks {state}"
