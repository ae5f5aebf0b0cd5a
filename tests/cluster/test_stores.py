"""Object stores: nothing is seen there before it is whole, and what they refuse is told in words."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from jaxcpp.cli.app import app
from jaxcpp.tables import FleetError, RunFolderError, check_run_folder, place, read_fleet
from jaxcpp.tables import places as module
from jaxcpp.tables.whole import write_stream, write_text
from tests.cluster.conftest import KEY, SECRET

ROWS = pa.table({"n": range(4)})
KILLED = """
import os, signal, sys
import pyarrow as pa
from jaxcpp.tables import place
from jaxcpp.tables.whole import write_stream

def rows():
    yield pa.table({"n": [1, 2]})
    os.kill(os.getpid(), signal.SIGKILL)

write_stream(rows(), pa.schema([("n", pa.int64())]), place(sys.argv[1]) / "x", rows=2)
"""


def names(folder):
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def folder(store, request):
    return place(store.address(request.node.name.partition("[")[0]))


def test_whoever_dies_or_fails_while_writing_leaves_nothing(store, folder):
    def rows():
        yield ROWS
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        write_stream(rows(), ROWS.schema, folder / "x", rows=2)
    address = store.address(folder.path.partition("/")[2])
    done = subprocess.run([sys.executable, "-c", KILLED, address], env=os.environ, check=False)
    assert done.returncode < 0
    assert names(folder) == []


def test_a_file_larger_than_the_store_copies_at_once(folder, monkeypatch):
    monkeypatch.setattr(module, "COPIED_AT_ONCE", 3)
    monkeypatch.setattr(module, "CARRIED", 2)
    write_text("long text", folder / "x")
    assert names(folder) == ["x"]
    assert (folder / "x").read_text() == "long text"
    monkeypatch.setattr(module, "CARRIED", "no number")  # whatever goes wrong on the way
    with pytest.raises(TypeError):
        write_text("other text", folder / "y")
    assert names(folder) == ["x"]


def test_what_is_secret_in_an_address_is_not_shown(store):
    shown = str(place(store.address("a")) / "b")
    assert shown == "s3://bucket/a/b"
    assert SECRET not in repr(place(store.address("a")))
    assert KEY not in repr(place(store.address("a")))


def test_no_bucket(store):
    address = store.address("a").replace("@bucket", "@bocket")
    with pytest.raises(FleetError, match="there is no bucket 'bocket'"):
        read_fleet(address)
    with pytest.raises(RunFolderError, match="there is no bucket 'bocket'; make it, or"):
        check_run_folder(address)
    with pytest.raises(FleetError, match="s3://bucket/a: there is no such folder"):
        read_fleet(store.address("a"))


@pytest.mark.parametrize(
    ("strict", "port", "words"),
    [(True, None, "see to the credentials"), (False, 9, "nothing answers there")],
    ids=["not let in", "nobody there"],
)
@pytest.mark.slow
def test_what_to_do_is_said(store, tmp_path, strict, port, words):
    address = store._replace(port=port or store.port).address("run")
    if strict:
        store.ask("POST", "moto-api/reset-auth", b"0")
    try:
        result = CliRunner().invoke(app, ["plan", str(tmp_path), address, "--part-size", "3"])
    finally:
        store.ask("POST", "moto-api/reset-auth", b"inf")
    assert result.exit_code == 2
    assert words in result.output
    assert "--resume" in result.output
    assert SECRET not in result.output
