"""With vendors at home a fleet ends in the same contracts, and the coordinator never holds their costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxcpp.fleet.outside import plan_with_outside
from jaxcpp.fleet.results import budget
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.fleet.vendor_side import VendorSide
from jaxcpp.remote import messages
from jaxcpp.remote.client import RemoteVendor
from jaxcpp.remote.server import Answers
from jaxcpp.tables import read_fleet, read_run, read_side
from tests.remote.certificates import TOKEN
from tests.remote.sides import PRODUCTS, VENDORS, write_apart, write_whole

pytestmark = pytest.mark.slow

SETTINGS = Settings(tolerance=1e-6)
COSTS = sorted({cost for _, _, lanes, _ in PRODUCTS.values() for cost in lanes.values()})
ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """Keeps the bodies that go each way."""

    def __init__(self, transport):
        self._transport, self.bodies = transport, []

    def call(self, body):
        answer = self._transport.call(body)
        self.bodies.append((body, answer))
        return answer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The contracts of the fleet in one place."""
    fleet = read_fleet(write_whole(tmp_path_factory.mktemp("whole") / "fleet"))[0]
    return plan_fleet(fleet, SETTINGS)


@pytest.fixture
def apart(tmp_path, authority, serve, connect):
    """The retailer's fleet, and both vendors behind agents."""
    folder, sides = write_apart(tmp_path)
    vendors, recorders = {}, {}
    for name, side in sides.items():
        agent = serve(Answers(name, VendorSide(read_side(side))), authority.credentials(name))
        ours = authority.credentials("coordinator")
        recorders[name] = Recorder(connect(agent.port, ours, identity=name, deadline=30.0))
        vendors[name] = RemoteVendor(name, recorders[name])
    return read_fleet(folder, outside=VENDORS)[0], vendors, recorders


def agree(one, other):
    """Both runs' contracts, to what both certify."""
    for name in ("contract_id", "vendor_id", "product_ids", "status", "reason"):
        assert list(one[name]) == list(other[name]), name
    sure = (
        np.asarray(one["efficiency_gap"])
        + other["efficiency_gap"]
        + one["price_error"]
        + other["price_error"]
    )
    for name in ("gain", "cbt", "fee", "price", "paid", "supplier_surplus", "retailer_cost_plan",
                 "retailer_utility_jit", "retailer_utility_plan"):  # fmt: skip
        apart = np.abs(np.asarray(one[name]) - np.asarray(other[name]))
        assert np.all((apart <= sure + 1e-6) | (np.isnan(one[name]) & np.isnan(other[name]))), name


def test_the_same_contracts_and_no_costs_on_the_wire(whole, apart):
    fleet, vendors, recorders = apart
    run = plan_with_outside(fleet, vendors, SETTINGS)
    assert set(whole.contracts["status"]) == {"accepted"}
    agree(whole.contracts, run.contracts)
    for name in ("contract_id", "product_id", "inbound_id", "week"):
        assert list(whole.plans[name]) == list(run.plans[name])
    for name in ("jit_units", "plan_units"):
        np.testing.assert_allclose(run.plans[name], whole.plans[name], atol=1e-4)
    assert np.isnan(run.contracts["supplier_cost_plan"]).all()
    sure = sum(float(np.sum(one.contracts["efficiency_gap"])) for one in (whole, run))
    assert budget(run.contracts) == pytest.approx(budget(whole.contracts), abs=sure + 1e-6)
    asked = Counter(messages.decode(body, "question")[0].method for body, _ in recorders["hops"].bodies)
    assert set(asked) == {"open", "smoothed_plan", "best_plan", "value", "confirm"}
    assert asked["smoothed_plan"] < 60
    for vendor, recorder in recorders.items():
        numbers, words = crossed(recorder.bodies)
        assert len(numbers) > 50
        assert not np.isclose(numbers[:, None], COSTS, rtol=1e-12, atol=0.0).any()
        others = {product for product, (name, *_) in PRODUCTS.items() if name != vendor}
        assert not any(other in word for other in {*others, *VENDORS} - {vendor} for word in words)
    held = numbers_in({"vendors": vendors, "run": run, "fleet": fleet})
    assert not np.isclose(held[:, None], COSTS, rtol=1e-12, atol=0.0).any()
    assert np.isclose(held, 423.0).any(), "what the retailer knows is found"


def crossed(bodies):
    """Every number and every word of some messages, header included."""
    numbers: list[Any] = []
    words: list[str] = []
    for pair in bodies:
        question, answer = pair
        for _, table, facts in (messages.decode(question, "question"), messages.decode(answer, "answer")):
            words += [*facts, *facts.values()]
            for column in table.columns:
                while hasattr(column.type, "value_type"):
                    column = column.combine_chunks().flatten()
                values = column.to_pylist()
                (words if values and isinstance(values[0], str) else numbers).extend(values)
    return np.asarray(numbers, float), words


def numbers_in(root):
    """Every number that can be reached from an object."""
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, int | float):
            found.append(float(one))
        elif isinstance(one, np.ndarray) and one.dtype.kind in "fiu":
            found += one.astype(float).reshape(-1).tolist()
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | np.ndarray):
            waiting += list(one)
        waiting += list(getattr(one, "__dict__", {}).values()) if not isinstance(one, type) else []
    return np.asarray(found, np.float64)


def test_the_search_for_numbers_finds_costs_where_they_are(tmp_path):
    _, sides = write_apart(tmp_path)
    held = numbers_in(VendorSide(read_side(sides["malt"])))
    assert {6.6130001, 1.7870001} <= set(held)


def write_agents(folder, authority, ports):
    """AGENTS.toml and the files that it names."""
    certificate, key = authority.issue("coordinator")
    for name, text in {"ours.pem": certificate, "ours.key": key, "ca.pem": authority.pem}.items():
        (folder / name).write_bytes(text)
    (folder / "token").write_text(TOKEN + "\n")
    lines = ['certificate = "ours.pem"', 'key = "ours.key"', "deadline = 60"]
    for vendor, port in ports.items():
        lines += [f"[vendor.{vendor}]", f'address = "127.0.0.1:{port}"', 'authority = "ca.pem"',
                  f'identity = "{vendor}"', 'token_file = "token"']  # fmt: skip
    path = folder / "AGENTS.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def agent_of_hops(tmp_path, authority):
    """`jaxcpp serve-agent` in a process of its own: its port, and the retailer's fleet."""
    folder, sides = write_apart(tmp_path, ("hops",))
    certificate, key = authority.issue("hops")
    for name, text in {"hops.pem": certificate, "hops.key": key, "hops-ca.pem": authority.pem}.items():
        (tmp_path / name).write_bytes(text)
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxcpp", "serve-agent", "--fleet", sides["hops"], "--listen", "127.0.0.1:0",
         "--tls", "hops.pem", "hops.key", "hops-ca.pem"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"), **os.environ, "PYTHONPATH": path,
             "JAXCPP_AGENT_TOKEN": TOKEN},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline().split()
        assert said[:4] == ["agent", "of", "hops", "listening"], process.stderr.read()
        yield folder, int(said[-1].rpartition(":")[2]), process
    finally:
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert TOKEN not in out + err


def test_from_the_command_line(whole, agent_of_hops, authority, tmp_path):
    """The fleet is planned in a process of its own, whose memory is then read."""
    folder, port, _ = agent_of_hops
    agents = write_agents(tmp_path, authority, {"hops": port})
    flipped = [bytes(255 - b for b in np.float64(cost).tobytes()).hex() for cost in COSTS]
    script = tmp_path / "scan.py"
    script.write_text(READ_MEMORY)
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script, ",".join(flipped), "plan", folder, tmp_path / "run", "--agents", agents,
         "--tolerance", "1e-6"],
        capture_output=True, text=True, check=False, timeout=300,
        env={"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"), **os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *_, status, control, found = done.stdout.split()
    assert status == "0", done.stdout + done.stderr
    assert int(control) > 0, "the search finds what is there"
    malts = {bytes(255 - b for b in np.float64(cost).tobytes()).hex() for cost in (6.6130001, 1.7870001)}
    assert set(found.split(",")) - {"none"} <= malts, "a cost of hops in the coordinator's memory"
    contracts = read_run(tmp_path / "run")[0]["contracts"].to_pydict()
    assert contracts["solver"] == ["agent", "agent", "newton"]
    agree(
        whole.contracts,
        {name: np.asarray(c) if name != "product_ids" else c for name, c in contracts.items()},
    )


READ_MEMORY = """
import sys
import numpy as np
from jaxcpp.cli.app import main

status = 0
try:
    main(sys.argv[2:])
except SystemExit as ended:
    status = ended.code or 0
# Needles are kept inverted, and so is what they are looked for in: the search does not find itself.
needles = [bytes.fromhex(text) for text in sys.argv[1].split(",")]
kept = np.array([3.0]) * np.float64(41.1520333370001)
control = np.invert(np.frombuffer(kept.tobytes(), np.uint8)).tobytes()
counts = dict.fromkeys([control, *needles], 0)
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps.read().splitlines():
        place, rights, *_ = line.split()
        first, last = (int(part, 16) for part in place.split("-"))
        if not rights.startswith("rw") or line.endswith(("[vvar]", "[vsyscall]")):
            continue
        memory.seek(first)
        while first < last:
            try:
                chunk = memory.read(min(1 << 24, last - first))
            except OSError:
                break
            if not chunk:
                break
            first += len(chunk)
            inverted = np.invert(np.frombuffer(chunk, np.uint8)).tobytes()
            for needle in counts:
                counts[needle] += inverted.count(needle)
found = [needle.hex() for needle in needles if counts[needle]]
print(status, counts[control], ",".join(found) or "none")
"""


def test_an_agent_that_fails_is_exit_status_5(tmp_path, authority):
    from typer.testing import CliRunner

    from jaxcpp.cli.app import app

    folder, _ = write_apart(tmp_path, ("hops",))
    agents = write_agents(tmp_path, authority, {"hops": 9})
    words = ["plan", folder, tmp_path / "run", "--agents", agents]
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="jaxcpp")
    assert result.exit_code == 5, result.output
    assert "hops:ale" in result.stderr
    assert TOKEN not in result.output
    contracts = read_run(tmp_path / "run")[0]["contracts"].to_pydict()
    assert contracts["status"] == ["unreachable", "unreachable", "accepted"]
    assert contracts["price"][:2] == [None, None] or np.isnan(contracts["price"][:2]).all()
