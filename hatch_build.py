"""Compile the native kernels while a wheel is built, where that is possible.

Where it is not, the wheel is built all the same, without a library and with the reason, which
`jaxcpp_kernels.why_not()` repeats.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILDER = Path("kernels") / "jaxcpp_kernels" / "build.py"


class KernelsHook(BuildHookInterface):
    """Builds in place, which serves an editable install, and puts what it built into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library and mark the wheel as one for this platform, or leave it pure."""
        del version
        builder = _builder(Path(self.root) / BUILDER)
        if builder.build_or_explain():
            build_data["pure_python"] = False
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"
        else:
            self.app.display_warning(f"native kernels are left out: {builder.REASON.read_text().strip()}")


def _builder(path: Path) -> ModuleType:
    """The kernels' own build script, without the package around it."""
    spec = importlib.util.spec_from_file_location("jaxcpp_kernels_build", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
