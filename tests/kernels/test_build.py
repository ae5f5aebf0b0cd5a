"""Building is optional: with a compiler there is a library, without one a reason in words."""

from __future__ import annotations

import ast
import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jaxcpp_kernels as native
import pytest
from jaxcpp_kernels import build, library

PACKAGE = Path(native.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
NOT_SOURCES = ("*.so", "__pycache__", build.REASON.name, build.CUDA_REASON.name)
NO_NVCC = "no-such-nvcc"


@pytest.fixture
def copy(tmp_path):
    """The package on its own, as it is before it is built."""
    folder = tmp_path / "jaxcpp_kernels"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    return folder


def python(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process that finds this copy of the package first."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(folder.parent), **environment},
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip


def builds(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build this copy, without the CUDA kernels unless it is told of their compiler."""
    return subprocess.run(
        [sys.executable, "-m", "jaxcpp_kernels.build"],
        env={**os.environ, "PYTHONPATH": str(folder.parent), "NVCC": NO_NVCC, **environment},
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip


ASK = "import jaxcpp_kernels as native; print(native.available()); print(native.why_not())"


def test_not_built(copy):
    done = python(copy, ASK)
    assert done.stdout.splitlines() == ["False", "it was not built; python -m jaxcpp_kernels.build does that"]


def test_no_compiler(copy):
    done = builds(copy, CXX="no-such-compiler")
    assert done.returncode == 1
    assert "no-such-compiler" in done.stderr
    assert python(copy, ASK).stdout.splitlines() == ["False", done.stderr.removeprefix("not built: ").strip()]


@pytest.mark.slow
def test_a_compiler_that_fails(copy):
    source = copy / "src" / "batch.cpp"
    source.write_text("#error spoiled\n")
    done = builds(copy)
    assert done.returncode == 1
    assert "spoiled" in done.stderr
    assert not (copy / build.LIBRARY.name).exists()
    assert python(copy, ASK).stdout.startswith("False")


@pytest.mark.slow
def test_built_in_place_and_out_of_date(copy):
    try:
        build.compiler()
    except build.BuildError as error:
        pytest.skip(str(error))
    assert builds(copy).returncode == 0
    assert python(copy, ASK).stdout.splitlines() == ["True", ""]
    done = python(copy, "import jaxcpp_kernels as native; print(native.why_not('cuda'))")
    assert done.stdout.strip() == f"the CUDA compiler that NVCC names, {NO_NVCC}, was not found"
    (copy / "src" / "path.h").write_text("// changed since\n")
    assert "other sources" in python(copy, ASK).stdout


@pytest.mark.slow
def test_a_compiler_that_knows_no_levels(copy, tmp_path):
    """Old compilers refuse -march=x86-64-v3: the portable copy serves."""
    try:
        command = build.compiler()
    except build.BuildError as error:
        pytest.skip(str(error))
    old = tmp_path / "old-compiler"
    old.write_text(f'#!/bin/sh\ncase "$*" in *x86-64-v*) exit 1;; esac\nexec {" ".join(command)} "$@"\n')
    old.chmod(0o755)
    assert builds(copy, CXX=str(old)).returncode == 0
    done = python(copy, "from jaxcpp_kernels import library; print(library.instruction_set())")
    assert done.stdout.strip() == "x86-64-v1"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_cuda_kernels_compile(copy):
    """And need no CUDA on the machine but the driver: it loads, and is made from these sources."""
    try:
        compiler = build.cuda_compiler()
    except build.BuildError as error:
        pytest.skip(str(error))
    if not isinstance(library._open("cuda"), str):  # the install has compiled them: not once more
        shutil.copy(build.CUDA_LIBRARY, copy / build.CUDA_LIBRARY.name)
        shutil.copy(build.LIBRARY, copy / build.LIBRARY.name)
    else:
        assert builds(copy, NVCC=compiler).returncode == 0
    done = python(copy, "import jaxcpp_kernels as native; print(native.why_not('cuda'))")
    assert done.stdout.strip() == "", done.stdout
    assert not (copy / build.CUDA_REASON.name).exists()


def test_no_kernels_for_other_platforms():
    assert native.why_not("tpu") == "there are none for tpu"


def test_a_spoiled_library(copy):
    (copy / build.LIBRARY.name).write_bytes(b"not a library")
    assert "cannot be loaded" in python(copy, ASK).stdout


def test_calls_without_a_library_are_refused_in_words(copy):
    code = "import numpy as np, jaxcpp_kernels as native\nnative.register()"
    done = python(copy, code)
    assert "RuntimeError: native kernels: it was not built" in done.stderr


def test_importing_starts_no_jax(copy):
    done = python(copy, "import sys, jaxcpp_kernels; print('jax' in sys.modules or 'jaxlib' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_the_kernels_know_nothing_of_jaxcpp():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.split(".")[0] == "jaxcpp"], path


def test_the_instruction_set_has_a_name():
    if not native.available():
        pytest.skip(native.why_not())
    assert library.instruction_set() in {"x86-64-v1", "x86-64-v3", "x86-64-v4"}
    assert isinstance(ctypes.CDLL(str(build.LIBRARY)), ctypes.CDLL)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("compiler", [None, "no-such-compiler"], ids=["with a compiler", "without"])
def test_a_wheel_is_built_either_way(compiler, tmp_path):
    """The build hook, on a copy of the sources, with the tools of this environment."""
    pytest.importorskip("hatchling")
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns(*NOT_SOURCES)
    for name in ("jaxcpp", "kernels", "examples"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    environment = {**os.environ, "NVCC": NO_NVCC, **({"CXX": compiler} if compiler else {})}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True, timeout=800)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    inside = {path.name for path in (tmp_path / "site" / "jaxcpp_kernels").iterdir()}
    assert (build.LIBRARY.name in inside) == (compiler is None)
    assert (build.REASON.name in inside) == (compiler is not None)
    assert ("none-any" in wheel.name) == (compiler is not None)
