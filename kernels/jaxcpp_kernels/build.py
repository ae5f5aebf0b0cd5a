"""Compile the native kernels in place: `python -m jaxcpp_kernels.build`; installation does the same.

Needs a C++17 compiler (the environment variable CXX, else g++, clang++ or c++) and the headers that
come with jaxlib. Where there is a CUDA compiler as well (the environment variable NVCC, else nvcc on the
path or in /usr/local/cuda), the CUDA kernels go into a library of their own. Nothing here imports JAX. A
failure is written to a file that `jaxcpp_kernels.why_not()` reads.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"
LIBRARY = HERE / "libjaxcpp_kernels.so"
REASON = HERE / "build_status.txt"
CUDA_LIBRARY = HERE / "libjaxcpp_kernels_cuda.so"
CUDA_REASON = HERE / "build_status_cuda.txt"
CUDA_REPORT = HERE / "build_report_cuda.txt"
"""What a thread of each CUDA kernel takes of its processor: registers, and bytes that found no room there."""
COMPILERS = ("g++", "clang++", "c++")
CUDA_COMPILERS = ("nvcc", "/usr/local/cuda/bin/nvcc")
PATIENCE = 300.0  # seconds for one compilation

# No -march=native: a copy of the core for each level, chosen at run time. No -ffast-math: the
# kernels meet infinities and must treat them as such.
COMMON = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-fno-math-errno")
CORE = ("-fno-exceptions", "-fno-rtti")
LEVELS = {"v1": (), "v3": ("-march=x86-64-v3",), "v4": ("-march=x86-64-v4",)}
"""Copies of the core, by x86-64 level; other processors get the first alone."""

CUDA_KERNELS = ("cuda.cu", "cuda_answers.cu", "cuda_flows.cu")
CUDA = ("-std=c++17", "-O3", "-Xcompiler", "-fPIC,-fvisibility=hidden", "--threads", "0")
DEVICES = (
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_90,code=sm_90",
    "-gencode=arch=compute_90,code=compute_90",
)
"""Machine code for two generations of devices, and what later ones translate for themselves."""


class BuildError(Exception):
    """Why there are no native kernels, of one kind or at all, in one sentence."""


def fingerprint() -> str:
    """What the sources hash to; a library made from others is out of date."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def compiler() -> list[str]:
    """The compiler's command. Raises BuildError where there is none."""
    chosen = os.environ.get("CXX")
    if chosen:
        command = shlex.split(chosen)
        if shutil.which(command[0]) is None:
            raise BuildError(f"the compiler that CXX names, {command[0]}, was not found")
        return command
    for name in COMPILERS:
        if shutil.which(name) is not None:
            return [name]
    raise BuildError(f"no C++ compiler was found ({', '.join(COMPILERS)})")


def cuda_compiler() -> str:
    """The CUDA compiler. Raises BuildError where there is none."""
    chosen = os.environ.get("NVCC")
    for name in (chosen,) if chosen else CUDA_COMPILERS:
        found = shutil.which(name)
        if found is not None:
            return found
    if chosen:
        raise BuildError(f"the CUDA compiler that NVCC names, {chosen}, was not found")
    raise BuildError("no CUDA compiler was found (nvcc)")


def headers() -> Path:
    """The folder of XLA's headers. Raises BuildError where jaxlib is not installed."""
    spec = importlib.util.find_spec("jaxlib")
    if spec is None or spec.origin is None:
        raise BuildError("jaxlib, whose headers the kernels are built with, is not installed")
    folder = Path(spec.origin).parent / "include"
    if not (folder / "xla" / "ffi" / "api" / "ffi.h").is_file():
        raise BuildError("this jaxlib has no headers of XLA's foreign function interface")
    return folder


def levels() -> dict[str, tuple[str, ...]]:
    """The copies of the core that make sense on this machine."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        return LEVELS
    return {"v1": ()}


def defines(level: str) -> list[str]:
    """What tells `core.cpp` which copy it is; the first also counts scratch memory for all."""
    return [f"-DJAXCPP_LEVEL={level}"] + (["-DJAXCPP_COUNTS_SCRATCH"] if level == "v1" else [])


def build(library: Path = LIBRARY) -> Path:
    """Compile and link the kernels; the library appears all at once or not at all.

    A compiler too old for a level of x86-64 leaves that copy of the core out. Raises BuildError where
    not even the first can be had.
    """
    command, include = compiler(), headers()
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        out = Path(folder)
        with ThreadPoolExecutor(max_workers=max(1, len(os.sched_getaffinity(0)))) as pool:
            cores = list(pool.map(lambda each: _core(command, each[0], each[1], out), levels().items()))
            copies = [copy for copy in cores if copy is not None]
            flags = [*COMMON, *(f"-DJAXCPP_HAS_{path.stem.upper()}" for path in copies)]
            flags += [f'-DJAXCPP_FINGERPRINT="{fingerprint()}"', "-isystem", str(include)]
            rest = [
                pool.submit(_compile, command, flags, name, out / f"{name}.o")
                for name in ("batch.cpp", "ffi.cpp", "answers_ffi.cpp", "rounds_ffi.cpp")
            ]
            objects = [*copies, *(each.result() for each in rest)]
        _run([*command, "-shared", "-pthread", "-o", str(out / library.name), *map(str, objects)])
        (out / library.name).replace(library)
    return library


def build_cuda(library: Path = CUDA_LIBRARY) -> Path:
    """Compile and link the CUDA kernels, as `build` does the others; what they take goes to CUDA_REPORT.

    CUDA's runtime is linked in: the library needs the driver alone. Raises BuildError.
    """
    command, include = cuda_compiler(), headers()
    flags = [*CUDA, f'-DJAXCPP_FINGERPRINT="{fingerprint()}"', "-isystem", str(include)]
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        out = Path(folder)

        def compiled(name: str, *options: str) -> str:
            target = str(out / f"{name}.o")
            return _run([command, *flags, *options, "-c", str(SOURCES / name), "-o", target])

        with ThreadPoolExecutor(max_workers=max(1, len(os.sched_getaffinity(0)))) as pool:
            door = pool.submit(compiled, "cuda_ffi.cpp")
            reports = list(pool.map(lambda name: compiled(name, *DEVICES, "-Xptxas", "-v"), CUDA_KERNELS))
            door.result()
        objects = [str(out / f"{name}.o") for name in (*CUDA_KERNELS, "cuda_ffi.cpp")]
        linked = out / library.name
        _run([command, "-shared", "-cudart", "static", *DEVICES, "-o", str(linked), *objects])
        linked.replace(library)
    (library.parent / CUDA_REPORT.name).write_text(
        "".join(f"{line}\n" for line in _resources("".join(reports)))
    )
    return library


def _resources(report: str) -> list[str]:
    """Each kernel's registers and spills, from what the assembler says."""
    lines, name = [], ""
    spilled = "0"
    for line in report.splitlines():
        if found := re.search(r"\d(follow|respond|settle|join)[IE].*'(sm_\d+)'", line):
            kind = zip(("nodes a thread", "columns a warp"), re.findall(r"Li(\d)E", line), strict=False)
            where = [f"memory {home}" for home in re.findall(r"HomeE(\d)", line)]
            name = ", ".join(
                [f"{found[2]}: {found[1]}", *(f"{count} {what}" for what, count in kind), *where]
            )
        elif found := re.search(r"(\d+) bytes spill stores", line):
            spilled = found[1]
        elif name and (found := re.search(r"Used (\d+) registers", line)):
            lines.append(f"{name}: {found[1]} registers, {spilled} bytes spilled")
            name = ""
    return lines


def build_or_explain() -> bool:
    """Build all that can be, the reasons of failures written down instead of raised.

    The answer is whether the kernels for the processor are there; without them there are no others.
    """
    if not _explained(build, LIBRARY, REASON):
        CUDA_LIBRARY.unlink(missing_ok=True)
        CUDA_REASON.unlink(missing_ok=True)
        return False
    _explained(build_cuda, CUDA_LIBRARY, CUDA_REASON)
    return True


def _explained(make: Callable[[Path], object], library: Path, reason: Path) -> bool:
    reason.unlink(missing_ok=True)
    try:
        make(library)
    except BuildError as error:
        library.unlink(missing_ok=True)
        reason.write_text(f"{error}\n")
        return False
    return True


def _core(command: list[str], level: str, options: tuple[str, ...], out: Path) -> Path | None:
    flags = [*COMMON, *CORE, *options, *defines(level)]
    try:
        return _compile(command, flags, "core.cpp", out / f"{level}.o")
    except BuildError:
        if level == "v1":
            raise
        return None


def _compile(command: list[str], flags: list[str], source: str, target: Path) -> Path:
    _run([*command, *flags, "-c", str(SOURCES / source), "-o", str(target)])
    return target


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} could not be run: {error}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise BuildError(f"{command[0]} failed: {lines[0].strip() if lines else f'status {done.returncode}'}")
    return done.stderr


def main() -> int:
    """Build in place; 1 and the reason on stderr where that fails."""
    if build_or_explain():
        return 0
    sys.stderr.write(f"not built: {REASON.read_text()}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
