"""The short script of the README runs as a user runs it, and prints the paper's numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "two_agents.py"
SAME = """
import numpy as np
assert np.allclose(contract.plan, [10, 90], atol=1e-3) and contract.status == "accepted"
assert np.allclose([contract.gain, contract.price], [120, 80], atol=0.005)
"""


@pytest.mark.slow
def test_two_agents_and_the_block_of_the_readme() -> None:
    block = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.read_text(encoding="utf-8") + block + SAME],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert "gain      120.00" in done.stdout
    assert "price     80.00" in done.stdout
