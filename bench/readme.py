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
TIGHT = 1e-6
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
    for platform in ("cpu", "gpu"):
        for name in PEERS:
            cells, reached = _cells(found, platform, name)
            if any(cells):
                title = f"{PEERS[name].title}, {_on(found, platform, name)}"
                lines.append(f"| {title} | {reached:.0e} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_sources(list(found.values()))])


def _cells(found: dict[tuple[str, str], Document], platform: str, name: str) -> tuple[list[str], float]:
    """A peer's rate at every size, and the worst accuracy among them."""
    cells, reached = [], 0.0
    for size in SIZES:
        row = _row(found.get((size, platform)), name)
        cells.append("" if row is None else f"{rate(row):,.{0 if rate(row) >= 10.0 else 1}f}")
        reached = reached if row is None else max(reached, row["accuracy_reached"])
    return cells, reached


def _row(found: Document | None, name: str) -> Row | None:
    """A peer's row at the tightest tolerance that it was asked for."""
    rows = [] if found is None else [row for row in found["rows"] if row["peer"] == name]
    return min(rows, key=lambda row: row["tolerance"], default=None)


def _on(found: dict[tuple[str, str], Document], platform: str, name: str) -> str:
    """What a peer ran on, in the first size that has it."""
    for size in SIZES:
        document = found.get((size, platform))
        row = _row(document, name)
        if document is not None and row is not None:
            return (
                row["device"][4:]
                if row["platform"] == "gpu"
                else f"{document['processor'].split()[0]} CPU cores"
            )
    return ""


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
