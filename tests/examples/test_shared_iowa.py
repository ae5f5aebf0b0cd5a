"""The Iowa fleet whose vendors share capacity over their products: written, and cut into bundles."""

from __future__ import annotations

from jaxcpp.examples import write_example
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import contracts
from jaxcpp.tables import read_fleet


def test_it_differs_from_the_bundled_fleet_in_its_sources_only(tmp_path):
    shared, own = (read_fleet(write_example(name, tmp_path / name))[0] for name in ("iowa-shared", "iowa"))
    assert shared.name != own.name
    assert shared.demand.units.sum() == own.demand.units.sum()
    assert shared.product_ids.tolist() == own.product_ids.tolist()
    assert (own.sources.product >= 0).all()
    assert (shared.sources.product < 0).all()


def test_a_vendor_with_several_products_is_one_bundle(tmp_path):
    fleet, _ = read_fleet(write_example("iowa-shared", tmp_path / "fleet"))
    tied = bundles(fleet)
    assert all(len(item.vendors) == 1 for item in tied.items)
    assert max(len(item.products) for item in tied.items) == 450
    assert len(tied.offers()) + len(contracts(fleet, tied)) == len(fleet.offers.vendor)
    assert len(tied) + len(contracts(fleet, tied)) == len(fleet.vendor_ids)
