"""`python -m bench`: one front door to every measurement. Progress goes to stderr, tables to stdout."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import admm, cold, compare, contracts, fleets, readme, scaling, stored
from bench.alone import alone
from bench.cases import CASES
from bench.everything import parts, run_all
from bench.peers.registry import PEERS, SIDE_BY_SIDE, present

app = typer.Typer(
    help="Measure jaxcpp beside its peers. Answers are compared before times are told.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ERR = Console(stderr=True)
OUT = Console(width=None if sys.stdout.isatty() else 150)

Folder = Annotated[Path, typer.Option("--results", help="Folder for the stored result.")]
Repeats = Annotated[int, typer.Option(min=1, help="Timed repetitions; the median counts.")]
Sizes = Annotated[str, typer.Option(help="Which sizes, separated by commas: S, M, L, W.")]

OTHERS = {
    "steps": "Where the main job's time goes, step by step.",
    "ceilings": "Memory bandwidth and arithmetic of the machine.",
    "kernels": "The native search alone.",
    "gradients": "A reverse pass beside a solve from a warm start.",
    "gradient_oracle": "Smoothed contracts' derivatives beside cvxpylayers'.",
    "second_night": "A fleet from last night's prices, beside one from nothing.",
    "counterfactuals": "Several vendors: each one's absence, warm and cold.",
    "nightly": "A large fleet in parts on local workers, killed on the way and resumed.",
    "tuned_halves": "Fees tuned on one half of the vendors, judged on the other.",
}
"""Modules with a command line of their own: `python -m bench steps --help`."""


def _told(line: str) -> None:
    ERR.print(line, highlight=False)


def _stop(error: Exception) -> None:
    _told(str(error))
    raise typer.Exit(1)


def _written(path: Path) -> None:
    _told(f"written to {path}")


def _sizes(text: str) -> list[str]:
    """Raises typer.BadParameter for a size that is not there."""
    found = text.split(",")
    for size in found:
        if size not in CASES:
            raise typer.BadParameter(f"{size}: no such size; take some of {', '.join(CASES)}")
    return found


def _peers(names: str) -> dict[str, Any]:
    """Those of the peers that are installed; the others are said to be absent."""
    asked = names.split(",")
    for name in asked:
        if name not in PEERS:
            raise typer.BadParameter(f"{name}: no such peer; take some of {', '.join(PEERS)}")
    here, absent = present(asked)
    for line in absent:
        _told(line)
    return here


@app.command("contracts")
def contracts_(
    size: Sizes = "M",
    batch: Annotated[int | None, typer.Option(min=1, help="Contracts (default: by size).")] = None,
    tolerance: Annotated[str, typer.Option(help="Relative accuracies asked for.")] = "1e-4,1e-6",
    repeats: Repeats = 3,
    seed: int = 0,
    peers: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(SIDE_BY_SIDE),
    results: Folder = stored.RESULTS,
) -> None:
    """Contracts a second at certified accuracies, beside exact and first-order peers."""
    here, tolerances = _peers(peers), tuple(float(part) for part in tolerance.split(","))
    for one in _sizes(size):
        plan = contracts.Plan(one, batch or contracts.BATCHES[one], tolerances, repeats, seed)
        _contracts(plan, here, results)


def _contracts(plan: contracts.Plan, here: dict[str, Any], results: Path, kind: str = "contracts") -> None:
    try:
        found = contracts.compare(plan, here, _told, kind)
    except contracts.DisagreementError as error:
        _stop(error)
    OUT.print(contracts.shown(found))
    _written(stored.store(f"{kind}-{plan.size}", found, results))
    if kind == "admm":
        typer.echo(admm.verdict(found))


@app.command("admm")
def admm_(
    size: Sizes = "S,M",
    batch: Annotated[int | None, typer.Option(min=1, help="Contracts (default: by size).")] = None,
    repeats: Repeats = 1,
    results: Folder = stored.RESULTS,
) -> None:
    """The protocol by ADMM, beside the same with OTT-JAX's Sinkhorn sweeps for answers."""
    here = _peers(",".join(admm.NAMES))
    for one in _sizes(size):
        _contracts(admm.plan(one, batch, repeats), here, results, "admm")


@app.command("fleets")
def fleets_(
    names: Annotated[
        str, typer.Option(help="toy, iowa-week, iowa, or iowa-N: N products like Iowa's.")
    ] = ",".join(fleets.NAMES),
    repeats: Repeats = 3,
    results: Folder = stored.RESULTS,
) -> None:
    """Whole fleets through the main job, files left out."""
    rows = []
    for name in names.split(","):
        _told(name)
        rows.append(alone("bench.fleets:measured", name=name, repeats=repeats))
    found = stored.document("fleets", rows)
    OUT.print(fleets.shown(rows))
    _written(stored.store("fleets", found, results))


@app.command("cold")
def cold_(
    names: Annotated[str, typer.Option(help="Bundled fleets: toy, iowa.")] = ",".join(cold.FLEETS),
    repeats: Repeats = 3,
    results: Folder = stored.RESULTS,
) -> None:
    """From `jaxcpp plan` to its first solved batch, with the cache of programs empty and full."""
    rows = [row for name in names.split(",") for row in cold.measured(name, repeats)]
    OUT.print(cold.shown(rows))
    _written(stored.store("cold", stored.document("cold", rows), results))


@app.command("scaling")
def scaling_(
    batches: Annotated[
        str, typer.Option(help="Contracts, for each size: S:1,10,100 M:1,10 and so on; empty for none.")
    ] = "S:1,10,100,1000,10000,100000 M:1,10,100,1000,10000",
    products: Annotated[
        str, typer.Option(help="Products like Iowa's; empty for none.")
    ] = "100,1000,3291,10000,33000",
    problems: Annotated[bool, typer.Option(help="Sizes of problem too.")] = True,
    repeats: Repeats = 3,
    results: Folder = stored.RESULTS,
) -> None:
    """Time and memory a contract over how many there are and how large they are; a log-log plot."""
    points = scaling.of_problems() if problems else []
    for part in batches.split():
        size, counts = part.split(":")
        points += scaling.of_batches(_sizes(size)[0], _numbers(counts))
    rows = scaling.measure([*points, *scaling.of_fleets(_numbers(products))], repeats, _told)
    found = scaling.result(rows)
    OUT.print(scaling.shown(found))
    path = stored.store("scaling", found, results)
    _written(path)
    scaling.plot(found, path.with_suffix(".svg"))
    _written(path.with_suffix(".svg"))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


@app.command("compare")
def compare_(
    before: Annotated[Path, typer.Argument(help="A result file.")],
    after: Annotated[Path, typer.Argument(help="Another.")],
    other_device: Annotated[bool, typer.Option(help="Compare results of different devices.")] = False,
) -> None:
    """Two result files: ratios, and whether they are beyond the noise of the repeats."""
    try:
        found = compare.ratios(stored.load(before), stored.load(after), other_device=other_device)
    except ValueError as error:
        _stop(error)
    OUT.print(compare.shown(found))
    typer.echo(compare.summary(found))


@app.command("table")
def table_(
    results: Folder = stored.RESULTS,
    file: Annotated[Path, typer.Option(help="The text to write it into.")] = readme.README,
) -> None:
    """Write the README's tables from the stored results."""
    text = file.read_text(encoding="utf-8")
    file.write_text(readme.written(text, readme.tables(results)), encoding="utf-8")
    _written(file)


@app.command("all")
def all_(
    budget: Annotated[
        float, typer.Option(min=1.0, help="Seconds; parts that do not fit are left out.")
    ] = 720.0,
    rehearse: Annotated[
        bool, typer.Option(help="As little of each as will do, into a folder of its own.")
    ] = False,
    results: Folder = stored.RESULTS,
) -> None:
    """Every figure that the README and bench/README.md quote, the most wanted first; then the table.

    For a machine that has nothing else to do: results say how busy it was before.
    """
    if rehearse and results == stored.RESULTS:
        _stop(ValueError("a rehearsal's figures are worth nothing: give it another folder with --results"))
    left_out = run_all(parts(results, rehearse=rehearse), budget, _told)
    if results == stored.RESULTS:
        table_()
    if left_out:
        _stop(RuntimeError(f"not done: {', '.join(left_out)}"))


def _passed_on(module: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        status = importlib.import_module(f"bench.{module}").main(context.args)
        raise typer.Exit(status or 0)

    run.__doc__ = OTHERS[module]
    return run


for _module in OTHERS:
    app.command(
        _module.replace("_", "-"),
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_passed_on(_module))


if __name__ == "__main__":
    sys.exit(app())
