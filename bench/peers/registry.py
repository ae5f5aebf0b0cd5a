"""Who is timed, what each needs, and how to ask one: in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.alone import ROOT, own_cache
from bench.peers.answers import Answer

EVERY = {"S": 1_000_000, "M": 1_000_000, "L": 1_000_000, "W": 1_000_000}
"""No limit on the contracts that a peer gets."""


@dataclass(frozen=True)
class Peer:
    """A module to run, the library it needs, and the name in the table.

    `most` is how many contracts of each size it gets, so that a slow one ends too; they are the first of
    the batch. A peer that is not `exact` stops where it can: what it reaches is told, not held against it.
    It is `given` the tightest tolerance only, the loosest only, or each in turn. `environment` is added to
    that of its process.
    """

    module: str
    needs: str
    title: str
    variant: str = ""
    most: dict[str, int] | None = None
    exact: bool = True
    tolerances: Literal["each", "tightest", "loosest"] = "tightest"
    environment: dict[str, str] | None = None

    def given(self, tolerances: Sequence[float]) -> list[float]:
        """Which of the tolerances it is asked for."""
        some = {"each": sorted(tolerances), "tightest": [min(tolerances)], "loosest": [max(tolerances)]}
        return some[self.tolerances]

    def contracts(self, size: str, batch: int) -> int:
        """How many contracts of a batch of this size it is asked."""
        return min(batch, (self.most or EVERY)[size])


PEERS = {
    "jaxcpp": Peer("bench.peers.jaxcpp_batch", "jax", "jaxcpp", "newton", tolerances="each"),
    "jaxcpp-xla": Peer(
        "bench.peers.jaxcpp_batch", "jax", "jaxcpp without its kernels", "newton",
        environment={"JAXCPP_KERNELS": "off"},
    ),
    "ortools": Peer("bench.peers.ortools_flow", "ortools", "OR-Tools flow"),
    "highs": Peer("bench.peers.highs_lp", "highspy", "HiGHS", most={"S": 256, "M": 128, "L": 16, "W": 2}),
    "pot": Peer(
        "bench.peers.pot_emd", "ot", "POT emd", "posed", most={"S": 1024, "M": 512, "L": 128, "W": 32}
    ),
    "pot-eliminated": Peer("bench.peers.pot_emd", "ot", "POT emd, inbound nodes eliminated", "eliminated"),
    "moreau": Peer("bench.peers.moreau_qp", "moreau", "moreau", most={"S": 64, "M": 32, "L": 4, "W": 1}),
    "mpax": Peer(
        "bench.peers.mpax_lp", "mpax", "MPAX r2HPDHG", most={"S": 16, "M": 8, "L": 2, "W": 1},
        exact=False, tolerances="loosest",
    ),
    "jaxcpp-admm": Peer(
        "bench.peers.jaxcpp_batch", "jax", "jaxcpp by ADMM", "admm",
        most={"S": 512, "M": 256, "L": 16, "W": 8}, tolerances="each",
    ),
    "ott-admm": Peer(
        "bench.peers.ott_admm", "ott", "OTT-JAX in ADMM", most={"S": 256, "M": 128, "L": 8, "W": 4},
        exact=False, tolerances="each",
    ),
}  # fmt: skip

SIDE_BY_SIDE = ("jaxcpp", "jaxcpp-xla", "ortools", "highs", "pot", "pot-eliminated", "moreau", "mpax")
"""Asked for by default: all that solve the joint plan in one place, beside the main job."""


def present(names: Iterable[str]) -> tuple[dict[str, Peer], list[str]]:
    """The peers whose library is installed, and a line on each that is not.

    Raises KeyError for a peer that nobody knows.
    """
    here, absent = {}, []
    for name in names:
        peer = PEERS[name]
        if importlib.util.find_spec(peer.needs) is None:
            absent.append(f"{peer.title} is left out: {peer.needs} is not installed")
        else:
            here[name] = peer
    return here, absent


def ask(peer: Peer, instances: Path, tolerance: float, repeats: int, contracts: int) -> Answer:
    """Run one peer in its own process on the first contracts of a file.

    What it compiles is kept beside that file, for the next to be asked. Raises CalledProcessError where it
    fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answer.json"
        command = [sys.executable, "-m", peer.module, str(instances), str(out)]
        command += ["--tolerance", repr(tolerance), "--repeats", str(repeats)]
        command += ["--contracts", str(contracts), "--variant", peer.variant]
        environment = os.environ | own_cache(instances.parent / "compiled") | (peer.environment or {})
        subprocess.run(command, cwd=ROOT, check=True, env=environment)
        return Answer(**json.loads(out.read_text()))
