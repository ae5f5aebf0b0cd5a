"""The bundled fleets: written out to a folder of the user's own."""

from __future__ import annotations

import shutil
from pathlib import Path

EXAMPLES = {
    "iowa": "six weeks of real orders of 3,291 products; freight, sources and capacity by rule",
    "iowa-roll": "eighteen weeks of real orders of every eighth product, to roll forward",
    "iowa-shared": "the same orders, each vendor source with one capacity for all of the vendor's products",
    "toy": "one product, one vendor, two regions, as text files to edit",
}
"""Name of each bundled fleet, and what it is."""

_VARIANTS = {"iowa-shared": "iowa"}
"""Fleets kept as the tables in which they differ from another."""

_HERE = Path(__file__).resolve().parent
# An installed wheel carries the fleets inside this package; a checkout keeps them at its top.
_PLACES = (_HERE, _HERE.parents[1] / "examples")


def write_example(name: str, folder: str | Path) -> Path:
    """Copy the fleet `name` of `EXAMPLES` into `folder`, made where it is missing; returns the folder.

    Raises:
        ValueError: there is no example of that name.
        FileExistsError: the folder is not empty, or is a file.
        FileNotFoundError: the installation lacks its bundled fleets.
    """
    if name not in EXAMPLES:
        raise ValueError(f"no example {name!r}; there are {', '.join(EXAMPLES)}")
    sources = [_place(part) for part in (_VARIANTS.get(name, name), name)]
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is there already and is not an empty folder")
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        for file in sorted(path for path in source.iterdir() if path.is_file()):
            shutil.copyfile(file, target / file.name)
    if name in _VARIANTS:
        (target / "README.md").unlink(missing_ok=True)  # it speaks of the other
    return target


def _place(name: str) -> Path:
    """Where a bundled fleet lies."""
    source = next((place / name for place in _PLACES if (place / name / "fleet.toml").is_file()), None)
    if source is None:
        raise FileNotFoundError(f"this installation lacks the bundled fleet {name!r}: install jaxcpp again")
    return source
