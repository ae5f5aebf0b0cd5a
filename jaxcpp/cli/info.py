"""`jaxcpp info`: what a report of a fault should say."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from typing import Any

import typer

import jaxcpp
from jaxcpp.cli import backend
from jaxcpp.cli.options import Json

_LIBRARIES = ("jax", "jaxlib", "numpy", "equinox", "pyarrow")


def info(*, as_json: Json = False) -> None:
    """Print versions, devices, precision, cache folder."""
    backend.start()
    facts = _facts()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {version}" for key, version in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        typer.echo(f"{name:<{width}}{value}")


def _facts() -> dict[str, Any]:
    import jax

    from jaxcpp.transport import kernels

    config: Any = jax.config
    return {
        "jaxcpp": jaxcpp.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "devices": [f"{device.id}: {device.platform} {device.device_kind}" for device in jax.devices()],
        "precision": "float64" if config.jax_enable_x64 else "float32",
        "kernels": f"not used: {kernels.shut()}" if kernels.shut() else f"native, {kernels.platform()}",
        "cache": config.jax_compilation_cache_dir or "none",
    }
