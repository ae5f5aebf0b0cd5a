"""The compiled library: is it there, is it the right one, and its doors to XLA."""

from __future__ import annotations

import ctypes
import functools

TARGET = "jaxcpp_follow"
"""Name under which XLA knows the kernel."""


@functools.cache
def _open() -> ctypes.CDLL | str:
    """The library, or why there is none, in one sentence."""
    from jaxcpp_kernels import build  # not at the top: `python -m jaxcpp_kernels.build` runs that file itself

    if not build.LIBRARY.is_file():
        if build.REASON.is_file():
            return build.REASON.read_text().strip()
        return "it was not built; python -m jaxcpp_kernels.build does that"
    try:
        library = ctypes.CDLL(str(build.LIBRARY))
        made_from = library.jaxcpp_fingerprint
    except (OSError, AttributeError) as error:
        return f"the library cannot be loaded: {error}"
    made_from.restype = ctypes.c_char_p
    if made_from().decode() != build.fingerprint():
        return "it was built from other sources; python -m jaxcpp_kernels.build renews it"
    return library


def available() -> bool:
    """Whether the kernels can be called here."""
    return why_not() == ""


def why_not() -> str:
    """Why the kernels cannot be called, in one sentence; empty where they can."""
    opened = _open()
    return opened if isinstance(opened, str) else _register(opened)


def register() -> None:
    """Make the kernels known to XLA, on CPU. Raises RuntimeError where they are not available."""
    reason = why_not()
    if reason:
        raise RuntimeError(f"native kernels: {reason}")


def instruction_set() -> str:
    """The copy of the kernels in use, as a level of x86-64. Raises RuntimeError where there is none."""
    opened = _open()
    if isinstance(opened, str):
        raise RuntimeError(f"native kernels: {opened}")
    return f"x86-64-v{opened.jaxcpp_instruction_set()}"


@functools.cache
def _register(library: ctypes.CDLL) -> str:
    import jax

    try:
        jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(library.jaxcpp_follow), platform="cpu")
    except Exception as error:  # noqa: BLE001  (whatever this jaxlib has against the library)
        return f"this jaxlib does not take the library: {error}"
    return ""
