"""The bundled fleets, written to a folder of the user's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jaxcpp import examples
from jaxcpp.examples import EXAMPLES, write_example
from jaxcpp.tables import check_fleet, read_fleet

BUNDLED = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_bundled_fleet_is_copied_whole_and_is_sound(tmp_path, name) -> None:
    written = write_example(name, tmp_path / "deep" / "fleet")
    copied = {file.name: file.read_bytes() for file in written.iterdir()}
    kept = {file.name: file.read_bytes() for file in (BUNDLED / name).iterdir()}
    if name == "iowa-shared":  # only what differs is kept
        same = {file.name: file.read_bytes() for file in (BUNDLED / "iowa").iterdir()}
        kept = {**same, **kept}
        del kept["README.md"]
    assert copied == kept
    assert check_fleet(written) == []


def test_the_toy_is_section_7_of_the_paper(tmp_path) -> None:
    fleet, rejected = read_fleet(write_example("toy", tmp_path))
    assert rejected == []
    assert fleet.weeks == 1
    assert fleet.outbound_lanes.unit_cost.reshape(2, 2).tolist() == [[1, 5], [2, 3]]
    assert fleet.inbound_lanes.unit_cost.reshape(2, 2).tolist() == [[10, 5], [1, 2]]
    assert fleet.demand.units.tolist() == [40, 60]
    assert fleet.sources.capacity.tolist() == [100, 10]
    assert fleet.sources.product.tolist() == [0, 0]  # the capacity is the product's own
    assert fleet.products.margin.tolist() == fleet.offers.margin.tolist() == [20]


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path) -> None:
    with pytest.raises(ValueError, match="no example 'ohio'; there are iowa, iowa-roll, iowa-shared, toy"):
        write_example("ohio", tmp_path / "fleet")
    assert not (tmp_path / "fleet").exists()


def test_nothing_is_written_over(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    for target in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(FileExistsError, match="is not an empty folder"):
            write_example("toy", target)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_an_installed_package_s_own_copy_is_preferred_and_its_lack_is_told(tmp_path, monkeypatch) -> None:
    package, checkout = tmp_path / "package", tmp_path / "checkout"
    monkeypatch.setattr(examples, "_PLACES", (package, checkout))
    with pytest.raises(FileNotFoundError, match="lacks the bundled fleet 'toy'"):
        write_example("toy", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    for place in (checkout, package):
        (place / "toy").mkdir(parents=True)
        (place / "toy" / "fleet.toml").write_text(f'name = "{place.name}"\n')
        written = write_example("toy", tmp_path / f"from-{place.name}")
        assert place.name in (written / "fleet.toml").read_text()


def test_the_module_starts_neither_jax_nor_pyarrow() -> None:
    code = "import sys, jaxcpp.examples; sys.exit(bool({'jax', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
