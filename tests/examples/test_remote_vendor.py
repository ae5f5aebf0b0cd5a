"""The example of a vendor's agent, which knows nothing of jaxcpp, is asked by `jaxcpp plan`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jaxcpp.cli.app import app
from jaxcpp.tables import read_run
from tests.remote.certificates import TOKEN, Authority

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "remote_vendor.py"


def test_it_knows_nothing_of_jaxcpp():
    lines = [line for line in SCRIPT.read_text().splitlines() if line.startswith(("import", "from"))]
    assert lines == ["import os", "import sys", "import pyarrow as pa", "import pyarrow.flight as fl"]


@pytest.fixture
def port(tmp_path):
    """Where the example listens; its certificates and ours lie in the folder."""
    authority = Authority("an authority")
    for name in ("maker", "coordinator"):
        certificate, key = authority.issue(name)
        (tmp_path / f"{name}.pem").write_bytes(certificate)
        (tmp_path / f"{name}.key").write_bytes(key)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "127.0.0.1:0", "maker.pem", "maker.key", "ca.pem"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "JAXCPP_AGENT_TOKEN": TOKEN},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split()[-1])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_toy_fleet_with_its_vendor_at_home(port, tmp_path):
    """A unit moved from the near dock costs the retailer 1 and earns the vendor 5: all of them move."""
    fleet = tmp_path / "fleet"
    assert CliRunner().invoke(app, ["example", "toy", str(fleet)]).exit_code == 0
    (fleet / "sources.csv").unlink()
    (fleet / "inbound_lanes.csv").unlink()
    (fleet / "offers.csv").write_text("vendor_id,product_id\nmaker,widget\n")
    agents = tmp_path / "AGENTS.toml"
    agents.write_text(
        'certificate = "coordinator.pem"\nkey = "coordinator.key"\n[vendor.maker]\n'
        f'address = "127.0.0.1:{port}"\nauthority = "ca.pem"\nidentity = "maker"\ntoken_env = "MAKER"\n'
    )
    words = ["plan", str(fleet), str(tmp_path / "run"), "--agents", str(agents), "--fee", "additive=50"]
    result = CliRunner().invoke(app, words, env={"MAKER": TOKEN}, prog_name="jaxcpp")
    assert result.exit_code == 0, result.output
    (row,) = read_run(tmp_path / "run")[0]["contracts"].to_pylist()
    expected = {"gain": 160.0, "cbt": 40.0, "fee": 50.0, "price": 90.0, "supplier_surplus": 110.0}
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=0.01)
    assert row["status"] == "accepted"
    plans = read_run(tmp_path / "run")[0]["plans"].to_pylist()
    assert {plan["inbound_id"]: plan["plan_units"] for plan in plans} == pytest.approx(
        {"dock-1": 0.0, "dock-2": 100.0}, abs=1e-3
    )
