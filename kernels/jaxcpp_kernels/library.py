"""The compiled libraries: are they there, are they the right ones, and their doors to XLA."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import NamedTuple

TARGET = "jaxcpp_follow"
"""Name under which XLA knows the kernel that follows paths, on every platform."""
RESPOND = "jaxcpp_respond"
"""Name under which XLA knows the one that answers near a proposal, likewise."""
PLAY = "jaxcpp_play"
"""Name under which XLA knows the one that plays rounds between two sides, on the CPU."""
DOORS = {
    "cpu": {TARGET: "jaxcpp_follow", RESPOND: "jaxcpp_respond", PLAY: "jaxcpp_play"},
    "cuda": {TARGET: "jaxcpp_follow_cuda", RESPOND: "jaxcpp_respond_cuda"},
}
"""By platform, the symbol behind every name."""


class _Library(NamedTuple):
    """One library's files and the symbol that says what it was made from."""

    path: Path
    reason: Path  # why it was not built, where it was not
    fingerprint: str


def _library(platform: str) -> _Library:
    from jaxcpp_kernels import build  # not at the top: `python -m jaxcpp_kernels.build` runs that file itself

    if platform == "cuda":
        return _Library(build.CUDA_LIBRARY, build.CUDA_REASON, "jaxcpp_cuda_fingerprint")
    return _Library(build.LIBRARY, build.REASON, "jaxcpp_fingerprint")


@functools.cache
def _open(platform: str = "cpu") -> ctypes.CDLL | str:
    """A platform's library, or why there is none, in one sentence."""
    from jaxcpp_kernels import build

    files = _library(platform)
    if not files.path.is_file():
        if files.reason.is_file():
            return files.reason.read_text().strip()
        return "it was not built; python -m jaxcpp_kernels.build does that"
    try:
        library = ctypes.CDLL(str(files.path))
        made_from = getattr(library, files.fingerprint)
    except (OSError, AttributeError) as error:
        return f"the library cannot be loaded: {error}"
    made_from.restype = ctypes.c_char_p
    if made_from().decode() != build.fingerprint():
        return "it was built from other sources; python -m jaxcpp_kernels.build renews it"
    return library


def available(platform: str = "cpu") -> bool:
    """Whether the kernels can be called on `platform`, "cpu" or "cuda"."""
    return why_not(platform) == ""


def why_not(platform: str = "cpu") -> str:
    """Why the kernels cannot be called on `platform`, in one sentence; empty where they can."""
    if platform not in ("cpu", "cuda"):
        return f"there are none for {platform}"
    opened = _open(platform)
    return opened if isinstance(opened, str) else _register(platform, opened)


def register() -> None:
    """Make the kernels known to XLA, on every platform they were built for.

    Raises RuntimeError where they are not available on a CPU: no others are built then.
    """
    reason = why_not()
    if reason:
        raise RuntimeError(f"native kernels: {reason}")
    why_not("cuda")


def instruction_set() -> str:
    """The copy of the kernels in use, as a level of x86-64. Raises RuntimeError where there is none."""
    opened = _open()
    if isinstance(opened, str):
        raise RuntimeError(f"native kernels: {opened}")
    return f"x86-64-v{opened.jaxcpp_instruction_set()}"


@functools.cache
def _register(platform: str, library: ctypes.CDLL) -> str:
    import jax

    try:
        for name, symbol in DOORS[platform].items():
            door = jax.ffi.pycapsule(getattr(library, symbol))
            jax.ffi.register_ffi_target(name, door, platform="CUDA" if platform == "cuda" else "cpu")
    except Exception as error:  # noqa: BLE001  (whatever this jaxlib has against the library)
        return f"this jaxlib does not take the library: {error}"
    return ""
