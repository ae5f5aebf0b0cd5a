"""The kernels' core on random problems and garbage under the compiler's sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from jaxcpp_kernels import build

HERE = Path(__file__).resolve().parent
BATCHES = 3000

ADDRESS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
THREAD = ("-fsanitize=thread",)
EMPTY = "int main() { return 0; }\n"


def compile_with(command, flags, folder, sources):
    """Compile and link in one go; the program, or the reason why not."""
    program = folder / "driver"
    arguments = [
        *command,
        "-std=c++17",
        "-O1",
        "-g",
        "-pthread",
        *flags,
        *map(str, sources),
        "-o",
        str(program),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=500)
    return program if done.returncode == 0 else done.stderr


def copies(command, flags, folder, levels):
    """One object for each copy of the core asked for."""
    for level, options in levels.items():
        target = folder / f"core_{level}.o"
        source = str(build.SOURCES / "core.cpp")
        arguments = [
            "-std=c++17",
            "-O1",
            "-g",
            *flags,
            *options,
            *build.defines(level),
            "-c",
            source,
            "-o",
            str(target),
        ]
        subprocess.run([*command, *arguments], check=True, timeout=500)
        yield target


def compiler_with(flags: tuple[str, ...], folder: Path) -> list[str]:
    """The compiler's command; skips where there is none, or none that knows the sanitizer."""
    try:
        command = build.compiler()
    except build.BuildError as error:
        pytest.skip(str(error))
    empty = folder / "empty.cpp"
    empty.write_text(EMPTY)
    if isinstance(compile_with(command, flags, folder, [empty]), str):
        pytest.skip(f"{command[0]} has no {flags[0]}")
    return command


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("flags", "every"),
    [(ADDRESS, False), (ADDRESS, True), (THREAD, True)],
    ids=["address and undefined, the least processor", "address and undefined", "thread"],
)
def test_random_problems_and_garbage(flags, every, tmp_path):
    command = compiler_with(flags, tmp_path)
    levels = dict(build.levels() if every else list(build.levels().items())[:1])
    objects = list(copies(command, flags, tmp_path, levels))
    known = [f"-DJAXCPP_HAS_{level.upper()}" for level in levels if every]
    sources = [build.SOURCES / "batch.cpp", HERE / "driver.cpp", *objects]
    program = compile_with(command, (*flags, *known, "-I", str(build.SOURCES)), tmp_path, sources)
    assert isinstance(program, Path), program
    done = subprocess.run(
        [str(program), "1", str(BATCHES)], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert f"{BATCHES} batches" in done.stdout


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("flags", "threads", "lanes", "batches"),
    [(ADDRESS, 1, 1, 1000), (THREAD, 8, 4, 40)],
    ids=["address and undefined", "two warps of threads"],
)
def test_the_cuda_core_on_the_processor(flags, threads, lanes, batches, tmp_path):
    """Every read of what another thread wrote must lie behind a synchronization."""
    command = compiler_with(flags, tmp_path)
    block = [f"-DJAXCPP_BLOCK_THREADS={threads}", f"-DJAXCPP_BLOCK_LANES={lanes}", "-I", str(build.SOURCES)]
    sources = [HERE / "emulated.cpp", HERE / "driver.cpp"]
    program = compile_with(command, (*flags, *block), tmp_path, sources)
    assert isinstance(program, Path), program
    done = subprocess.run(
        [str(program), "1", str(batches)], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert f"{batches} batches" in done.stdout
