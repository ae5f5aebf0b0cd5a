from __future__ import annotations

import json

import jax
import pytest

import jaxcpp
from jaxcpp.cli.status import Status


def test_info_as_json(run):
    facts = json.loads(run("info", "--json").stdout)
    assert facts["jaxcpp"] == jaxcpp.__version__
    assert facts["libraries"]["jax"] == jax.__version__
    assert facts["precision"] == "float64"
    assert len(facts["devices"]) == jax.device_count()


def test_info_for_people(run):
    text = run("info").stdout
    assert f"jax {jax.__version__}" in text
    assert "float64" in text


@pytest.mark.slow
def test_the_cache_folder_is_the_platforms_unless_jax_is_told(spawn, tmp_path):
    own = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "told")}
    assert json.loads(spawn("info", "--json", env=own).stdout)["cache"] == str(tmp_path / "told")
    platform = {"JAX_COMPILATION_CACHE_DIR": None, "XDG_CACHE_HOME": str(tmp_path)}
    assert json.loads(spawn("info", "--json", env=platform).stdout)["cache"] == str(tmp_path / "jaxcpp")


def test_the_users_precision_is_respected(spawn):
    facts = json.loads(spawn("info", "--json", env={"JAX_ENABLE_X64": "0"}).stdout)
    assert facts["precision"] == "float32"


def test_a_platform_that_is_not_there(spawn):
    done = spawn("info", env={"JAX_PLATFORMS": "rocm"})
    assert done.returncode == Status.NO_DEVICE
    assert "rocm" in done.stderr
    assert "Traceback" not in done.stderr
