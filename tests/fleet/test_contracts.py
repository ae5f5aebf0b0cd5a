"""What is one contract, what it is called, and what is planned together."""

from __future__ import annotations

import numpy as np

from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import contracts
from tests.fleets import from_problems, random_sample, read
from tests.oracles import toy


def coupled(*, capacity: bool, vendors: bool):
    """Three small products: two draw on one source's capacity, or one has two vendors, or both."""
    sample = from_problems({"ale": toy(), "beer": toy(), "cider": toy()})
    if capacity:
        for table in ("offers", "sources", "inbound_lanes"):
            for row in sample.rows[table]:
                if row["product_id"] == "beer":
                    row["vendor_id"] = "vendor-of-ale"
        # One of the two sources speaks for every product.
        first = next(row for row in sample.rows["sources"] if row["product_id"] in ("ale", "beer"))
        sample.rows["sources"] = [
            row
            for row in sample.rows["sources"]
            if row is first or (row["vendor_id"], row["source_id"]) != ("vendor-of-ale", first["source_id"])
        ]
        first["product_id"] = None
    if vendors:
        sample.add(("offers", {"vendor_id": "vendor-of-ale", "product_id": "cider", "margin": 1.0}))
        for table in ("sources", "inbound_lanes"):
            for row in [row for row in sample.rows[table] if row["vendor_id"] == "vendor-of-cider"]:
                sample.add((table, {**row, "vendor_id": "vendor-of-ale"}))
    return sample


def members(fleet) -> list[tuple[list[str], list[str]]]:
    """Each bundle's products and vendors."""
    return [
        (fleet.product_ids[item.products].tolist(), fleet.vendor_ids[item.vendors].tolist())
        for item in bundles(fleet).items
    ]


def test_products_that_share_capacity_are_planned_together(tmp_path):
    fleet = read(coupled(capacity=True, vendors=False).tables(), tmp_path)
    assert members(fleet) == [(["ale", "beer"], ["vendor-of-ale"])]
    assert contracts(fleet).ids.tolist() == ["vendor-of-cider:cider"]


def test_vendors_of_one_product_are_planned_together(tmp_path):
    fleet = read(coupled(capacity=False, vendors=True).tables(), tmp_path)
    assert members(fleet) == [(["cider"], ["vendor-of-ale", "vendor-of-cider"])]
    assert len(contracts(fleet)) == 2


def test_what_is_tied_through_others_is_one_bundle(tmp_path):
    sample = coupled(capacity=True, vendors=True)
    # Without a row of its own, cider draws on the shared source of its second vendor too.
    shared = next(row["source_id"] for row in sample.rows["sources"] if row.get("product_id") is None)
    sample.rows["sources"] = [
        row
        for row in sample.rows["sources"]
        if (row["vendor_id"], row.get("product_id"), row["source_id"]) != ("vendor-of-ale", "cider", shared)
    ]
    fleet = read(sample.tables(), tmp_path)
    assert members(fleet) == [(["ale", "beer", "cider"], ["vendor-of-ale", "vendor-of-cider"])]
    assert len(contracts(fleet)) == 0


def test_a_products_own_capacity_wins_over_the_shared_one(tmp_path):
    sample = coupled(capacity=True, vendors=False)
    shared = next(row for row in sample.rows["sources"] if row.get("product_id") is None)
    sample.add(("sources", {**shared, "product_id": "beer"}))
    fleet = read(sample.tables(), tmp_path)
    assert members(fleet) == []
    assert len(contracts(fleet)) == 3


def test_capacity_for_every_product_of_a_vendor_with_one_is_its_own(tmp_path):
    sample = from_problems({"ale": toy(), "beer": toy()})
    for row in sample.rows["sources"]:
        row["product_id"] = None
    assert len(contracts(read(sample.tables(), tmp_path))) == 2


def test_one_contract_an_offer(tmp_path):
    sample = random_sample(11, 30)
    fleet = read(sample.tables(), tmp_path)
    found = contracts(fleet)
    assert found.ids.tolist() == sorted(sample.problems)
    for n, id_ in enumerate(found.ids):
        vendor, product = str(id_).split(":")
        assert fleet.vendor_ids[found.vendor[n]] == vendor
        assert fleet.product_ids[found.product[n]] == product
        offer = found.offer[n]
        assert (fleet.offers.vendor[offer], fleet.offers.product[offer]) == (
            found.vendor[n],
            found.product[n],
        )


def test_names_with_colons_make_different_contracts(tmp_path):
    sample = from_problems({"c": toy(), "b:c": toy()})
    names = {"vendor-of-c": "a:b", "vendor-of-b:c": "a"}
    for rows in sample.rows.values():
        for row in rows:
            if "vendor_id" in row:
                row["vendor_id"] = names[row["vendor_id"]]
    found = contracts(read(sample.tables(), tmp_path))
    assert len(np.unique(found.ids)) == 2
