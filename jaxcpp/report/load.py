"""A run as a report needs it: columns as arrays, and which contracts were planned together."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from jaxcpp import tables
from jaxcpp.fleet.results import Columns

Floats = NDArray[np.float64]

UNREADABLE: Final = (OSError, ValueError)
"""What reading a damaged run raises; pyarrow's errors are of these kinds."""


class ReportError(ValueError):
    """There is nothing to report on, or not what was asked for."""


WITHOUT = "the plan is carried out without this vendor"
"""How a reason begins that says so."""


@dataclass(frozen=True)
class Names:
    """What people call vendors and products; an id without a name is its own."""

    vendor: Mapping[str, str] = field(default_factory=dict)
    product: Mapping[str, str] = field(default_factory=dict)

    def of_vendor(self, vendor_id: str) -> str:
        """A vendor by name."""
        return self.vendor.get(vendor_id, vendor_id)

    def of_product(self, product_id: str) -> str:
        """A product by name."""
        return self.product.get(product_id, product_id)

    def on(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A contract's row with the names of its `vendor_id` and `product_ids`."""
        products = row["product_ids"]
        more = f" and {len(products) - 1:,d} more" if len(products) > 1 else ""
        return {
            **row,
            "vendor": self.of_vendor(row["vendor_id"]),
            "product": self.of_product(products[0]) + more,
        }


@dataclass(frozen=True)
class Loaded:
    """A run of `jaxcpp plan`: its tables as columns (money in currency, units), and `run.json`."""

    contracts: Columns
    plans: Columns
    rejected: Columns | None
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.contracts["contract_id"])

    @property
    def currency(self) -> str:
        """The run's currency, or "" where none is recorded."""
        return str(self.facts.get("currency") or "")

    def numbers(self, name: str) -> Floats:
        """A column of contracts as numbers, (contract,)."""
        return np.asarray(self.contracts[name], dtype=np.float64)

    def status(self, name: str) -> NDArray[np.bool_]:
        """Which contracts have a status, (contract,)."""
        return np.asarray(self.contracts["status"], dtype=str) == name

    @property
    def planned(self) -> NDArray[np.bool_]:
        """Which contracts' plan is carried out: offers accepted, and vendors that the others plan without."""
        apart = [reason.startswith(WITHOUT) for reason in self.contracts["reason"]]
        return self.status("accepted") | (self.status("declined") & np.asarray(apart, bool))

    def carried_out(self, party: str, what: str) -> Floats:
        """A party's `cost` or `utility` of the plan carried out, (contract,) [currency].

        That of just-in-time where no plan is.
        """
        plan, jit = (self.numbers(f"{party}_{what}_{arm}") for arm in ("plan", "jit"))
        return np.where(self.planned, plan, jit)


def load(folder: Path) -> Loaded:
    """Read a run of `jaxcpp plan`.

    Raises:
        ReportError: the folder holds no whole run of that kind, or one that cannot be read.
    """
    _check(folder)
    try:
        found, facts = tables.run_columns(folder)
        return Loaded(found["contracts"], found["plans"], found.get("rejected"), facts)
    except UNREADABLE as error:
        raise ReportError(f"{folder} cannot be read: {' '.join(str(error).split())}; plan again") from None
    except KeyError as error:
        raise ReportError(f"{folder} has no table {error}; plan again") from None


def load_facts(folder: Path) -> dict[str, Any]:
    """The `run.json` of a whole run; raises `ReportError` where there is none."""
    _check(folder)
    try:
        return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    except UNREADABLE as error:
        raise ReportError(f"{folder} cannot be read: {error}") from None


def _check(folder: Path) -> None:
    if not (folder / "run.json").is_file():
        what = "holds no whole run: there is no run.json" if folder.is_dir() else "is no folder"
        raise ReportError(f"{folder} {what}; name the folder that jaxcpp plan or jaxcpp roll wrote")


def is_roll(folder: Path) -> bool:
    """Whether a folder holds weeks of `jaxcpp roll`."""
    return (folder / "roll.json").is_file()


def read_names(path: Path | None) -> Names:
    """What a CSV file calls vendors and products: `vendor_id`, `vendor_name`; `product_id`, `description`.

    Raises:
        ReportError: the file cannot be read, or has neither pair of columns.
    """
    if path is None:
        return Names()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            has = set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReportError(f"{path} cannot be read as CSV: {error}") from None
    pairs = {"vendor": ("vendor_id", "vendor_name"), "product": ("product_id", "description")}
    known = {kind: pair for kind, pair in pairs.items() if set(pair) <= has}
    if not known:
        raise ReportError(f"{path} names neither vendor_id, vendor_name nor product_id, description")
    found = {
        kind: {row[key]: " ".join((row[name] or "").split()) or row[key] for row in rows}
        for kind, (key, name) in known.items()
    }
    return Names(found.get("vendor", {}), found.get("product", {}))


def bundle_of(product_ids: Sequence[Sequence[str]]) -> NDArray[np.intp]:
    """Which contracts were planned together, (contract,): equal numbers for those tied by a product.

    Contracts of several vendors share products, and no product is in two bundles; so the connected parts
    of contracts and products are the bundles. Numbered in the order of contracts.
    """
    rows = np.repeat(np.arange(len(product_ids)), [len(ids) for ids in product_ids])
    flat = [name for ids in product_ids for name in ids]
    _, product = np.unique(np.asarray(flat, dtype=object).astype(str), return_inverse=True)
    size = len(product_ids) + (int(product.max()) + 1 if len(product) else 0)
    links = sp.coo_array((np.ones(len(rows)), (rows, len(product_ids) + product)), shape=(size, size))
    _, label = sp.csgraph.connected_components(links, directed=False)
    _, first, number = np.unique(label[: len(product_ids)], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]
