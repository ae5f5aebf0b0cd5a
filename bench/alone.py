"""A measurement in a process of its own, so that its memory and its first run are its own.

    alone("bench.fleets:measured", name="toy", repeats=3)

runs that function there and gives back what it returned, which must be JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def alone(function: str, environment: dict[str, str] | None = None, **asked: Any) -> Any:
    """What `module:function(**asked)` returns in a new process. Raises CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "told.json"
        command = [sys.executable, "-m", "bench.alone", function, json.dumps(asked), str(out)]
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **(environment or {})})
        return json.loads(out.read_text(encoding="utf-8"))


def own_cache(folder: Path) -> dict[str, str]:
    """Environment of processes that share compiled programs with each other and with nobody before them."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def main() -> None:
    """The process's own side."""
    function, asked, out = sys.argv[1:]
    module, name = function.split(":")
    told = getattr(importlib.import_module(module), name)(**json.loads(asked))
    Path(out).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
