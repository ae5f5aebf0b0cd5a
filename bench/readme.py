"""The README's table of speed, made from the stored results: `python -m bench table`."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench.cases import CASES
from bench.contracts import in_short
from bench.peers.registry import PEERS
from bench.stored import RESULTS, Document, Row, load, rate

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- made by `python -m bench table`; change the results, not the table -->"
END = "<!-- end of the table -->"
SMALL = 10.0
"""Rates below this have a decimal."""
SIZES = tuple(CASES)


def tables(folder: Path = RESULTS) -> str:
    """All that stands between the markers."""
    parts = [_contracts(folder), _fleets(folder), _cold(folder), _admm(folder)]
    return "\n\n".join(part for part in parts if part)


def written(text: str, made: str) -> str:
    """A text with what is between its markers replaced. Raises ValueError where they are missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the text needs one line {BEGIN!r} and one line {END!r}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def _contracts(folder: Path) -> str:
    found = {
        (size, platform): load(path)
        for size in SIZES
        for platform in ("cpu", "gpu")
        if (path := folder / f"contracts-{size}-{platform}.json").exists()
    }
    if not found:
        return ""
    heads = [f"{size} {_dimensions(size)}" for size in SIZES]
    lines = [
        "| contracts a second | accuracy | " + " | ".join(heads) + " |",
        "| --- " * (len(SIZES) + 2) + "|",
    ]
    lines += [_line(title, rows) for title, rows in _by_title(found).items()]
    return "\n".join([*lines, "", *_sources(list(found.values()))])


def _by_title(found: dict[tuple[str, str], Document]) -> dict[str, dict[str, Row]]:
    """Rows by size for every line of the table: CPUs first, then in the order of the peers."""
    rows = [
        (platform, list(PEERS).index(row["peer"]), row["tolerance"], size, row, document)
        for (size, platform), document in found.items()
        for row in document["rows"]
    ]
    lines: dict[str, dict[str, Row]] = {}
    for *_, size, row, document in sorted(rows, key=lambda one: one[:3]):
        certified = f", certified to {row['tolerance']:g}" if row["worst_certified_gap"] is not None else ""
        lines.setdefault(f"{row['title']}{certified}, {_on(row, document)}", {})[size] = row
    return lines


def _line(title: str, rows: dict[str, Row]) -> str:
    """One line: the worst accuracy among the sizes, and the rate at each."""
    worst = max(row["accuracy_reached"] for row in rows.values())
    cells = (_short(rate(rows[size])) if size in rows else "" for size in SIZES)
    return f"| {title} | {worst:.0e} | " + " | ".join(cells) + " |"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= SMALL else f"{number:.1f}"


def _on(row: Row, document: Document) -> str:
    """What a row was measured on: the device, or the number of processors."""
    cores = f"{document['processor'].split()[0]} CPU cores"
    return str(row["device"])[4:] if row["platform"] == "gpu" else cores


def _dimensions(size: str) -> str:
    case = CASES[size]
    weeks = f", {case.weeks} weeks" if case.weeks > 1 else ""
    return f"{case.inbound}×{case.regions}×{case.sources}{weeks}"


def _sources(found: list[Document]) -> list[str]:
    """On what, when and at which commit, a line each; where a machine was busy, that too."""
    lines = {
        f"Measured on {document['processor']}, {document['date']}, commit {document['commit']}"
        + ("; the machine was busy with other work.  " if document.get("busy") else ".  ")
        for document in found
    }
    return sorted(lines)


def _fleets(folder: Path) -> str:
    found = [load(path) for path in _both(folder, "fleets")]
    head = [
        "| whole fleet | contracts | certified | solved | compiled | rounds: median / 99 % / most | memory |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = [_fleet(row) for document in found for row in document["rows"]]
    return "\n".join([*head, *rows, "", *_sources(found)]) if found else ""


def _both(folder: Path, name: str) -> list[Path]:
    """The files of a name that there are, by platform."""
    paths = (folder / f"{name}-{platform}.json" for platform in ("cpu", "gpu"))
    return [path for path in paths if path.exists()]


def _fleet(row: Row) -> str:
    cells = [
        f"{row['fleet']}, {row['device']}",
        f"{row['contracts']:,}",
        f"{100.0 * row['certified']:.4g} % to {row['tolerance']:g}",
        f"{row['contracts'] / rate(row):.2f} s",
        f"{row['compile']:.1f} s",
        in_short(row["rounds"]),
        f"{row['megabytes']:,.0f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def _cold(folder: Path) -> str:
    found = [load(path) for path in _both(folder, "cold")]
    head = [
        "| `jaxcpp plan`, cache of compiled programs | first solved batch | prompt back |",
        "| --- | --- | --- |",
    ]
    rows = []
    for document in found:
        for row in document["rows"]:
            first, whole = (statistics.median(row[part]) for part in ("solve", "all"))
            rows.append(
                f"| {row['fleet']}, {row['cache']}, {row['device']} | {first:.1f} s | {whole:.1f} s |"
            )
    return "\n".join([*head, *rows, "", *_sources(found)]) if found else ""


def _admm(folder: Path) -> str:
    lines = []
    for size in SIZES:
        path = folder / f"admm-{size}-cpu.json"
        if path.exists():
            rows = load(path)["rows"]
            cells = [f"{row['title']} {rate(row):,.1f}" for row in rows]
            head = f"Size {size}, certified to {rows[0]['tolerance']:g}, contracts a second"
            lines.append(f"{head}: {', '.join(cells)}.  ")
    return "\n".join(lines)
