"""JAX as the commands use it: float64, a cache of compiled programs, the device asked for."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jaxcpp.cli.options import Device
from jaxcpp.cli.status import Status, fail

_MIN_COMPILE_SECONDS = 0.1  # what compiles faster is not worth a file


class NoDeviceError(RuntimeError):
    """The device asked for, or the platform that `JAX_PLATFORMS` names, is not there."""


def start(device: Device | None = None) -> None:
    """As `settle`; leaves with status 6 where the device is not there."""
    try:
        settle(device)
    except NoDeviceError as error:
        fail(str(error), Status.NO_DEVICE)


def settle(device: Device | None = None) -> None:
    """Import JAX and settle what its own variables (`JAX_...`) and earlier settings leave open.

    Raises `NoDeviceError` where `device`, or the platform that `JAX_PLATFORMS` names, is not there.
    """
    import jax

    config: Any = jax.config
    if device == "cpu" or config.jax_platforms == "cpu" or not entry_points(group="jax_plugins"):
        # jaxlib's batched LAPACK calls (0.10) hand work to XLA's CPU threads and wait for it on one of
        # them: as many calls at once as threads wait for ever. With a single thread they do not.
        os.environ.setdefault("PJRT_NPROC", "1")
    if "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
        config.update("jax_cpu_enable_async_dispatch", False)  # programs run on the threads that call them
    if "JAX_ENABLE_X64" not in os.environ:
        config.update("jax_enable_x64", True)
    if config.jax_compilation_cache_dir is None:
        folder = default_cache_folder()
        if _writable(folder):
            config.update("jax_compilation_cache_dir", str(folder))
            if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
                config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_SECONDS)
    if device == "cpu" and not config.jax_platforms:
        config.update("jax_platforms", "cpu")  # leaves a GPU's memory alone
    try:
        found = jax.devices(device)
    except RuntimeError as error:
        raise NoDeviceError(f"no {device or 'such'} device: {error}") from None
    if device is not None:
        config.update("jax_default_device", found[0])


def default_cache_folder() -> Path:
    """Where compiled programs are kept when nobody says otherwise: the platform's cache folder."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "jaxcpp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxcpp"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
