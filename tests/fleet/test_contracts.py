"""What is one contract, what it is called, and which fleets are refused."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.fleet.contracts import CoupledContractsError, contracts
from tests.fleets import from_problems, random_sample, read
from tests.oracles import toy


def coupled(*, capacity: bool, vendors: bool):
    """Three small products; the capacity of one is shared with another, or one has two vendors, or both."""
    sample = from_problems({"ale": toy(), "beer": toy(), "cider": toy()})
    if capacity:
        for table in ("offers", "sources", "inbound_lanes"):
            for row in sample.rows[table]:
                if row["product_id"] == "beer":
                    row["vendor_id"] = "vendor-of-ale"
        # One of the two sources speaks for every product.
        first = next(row for row in sample.rows["sources"] if row["product_id"] in ("ale", "beer"))
        first["product_id"] = None
    if vendors:
        sample.add(("offers", {"vendor_id": "vendor-of-ale", "product_id": "cider", "margin": 1.0}))
        for row in [row for row in sample.rows["sources"] if row["vendor_id"] == "vendor-of-cider"]:
            sample.add(("sources", {**row, "vendor_id": "vendor-of-ale"}))
        for row in [row for row in sample.rows["inbound_lanes"] if row["vendor_id"] == "vendor-of-cider"]:
            sample.add(("inbound_lanes", {**row, "vendor_id": "vendor-of-ale"}))
    return sample


def test_shared_capacity_is_refused_in_words(tmp_path):
    fleet = read(coupled(capacity=True, vendors=False).tables(), tmp_path)
    with pytest.raises(CoupledContractsError) as refused:
        contracts(fleet)
    words = str(refused.value)
    assert "the capacity of 'works' is shared by 2 products of vendor 'vendor-of-ale'" in words
    assert "1 such sources in all" in words
    assert "give each product a capacity of its own in `product_id`" in words
    assert "offered by" not in words


def test_several_vendors_are_refused_in_words(tmp_path):
    fleet = read(coupled(capacity=False, vendors=True).tables(), tmp_path)
    with pytest.raises(CoupledContractsError) as refused:
        contracts(fleet)
    words = str(refused.value)
    assert (
        "product 'cider' is offered by 2 vendors (1 such products in all); keep one offer a product" in words
    )
    assert "shared" not in words


def test_everything_in_the_way_is_told_at_once(tmp_path):
    fleet = read(coupled(capacity=True, vendors=True).tables(), tmp_path)
    with pytest.raises(CoupledContractsError) as refused:
        contracts(fleet)
    assert "is shared by 3 products" in str(refused.value)
    assert "'cider' is offered by 2 vendors" in str(refused.value)


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
