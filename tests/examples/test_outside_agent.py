"""What the guide to agents says runs as it is printed, and so does the short script."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jaxcpp.mechanism.outside import ENDINGS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "writing-an-agent.md"


def test_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), str(GUIDE), "exec"), names)
    short = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    names["their_planner"] = names["Vendor"]()
    exec(compile(short, "README.md", "exec"), names)
    assert names["contracts"].price == pytest.approx([80.0])
    lines = [json.loads(line) for line in (tmp_path / "border.jsonl").read_text().splitlines()]
    assert lines[-1]["fault"]["fault"] == "not_finite"


def test_the_guide_names_every_status():
    table = GUIDE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in table for name in ENDINGS)


@pytest.mark.slow
def test_outside_agent(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "outside_agent.py", tmp_path / "log.jsonl"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert "status    accepted" in done.stdout
    assert "price     80.00" in done.stdout
    crossings = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {crossing["method"] for crossing in crossings} == {"best_plan"}
