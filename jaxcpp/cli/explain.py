"""`jaxcpp explain`: one contract in words."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from jaxcpp.cli.options import Names, WrittenRun
from jaxcpp.cli.status import Status, fail

_WIDTH = 90


def explain(
    run: WrittenRun,
    contract: Annotated[
        str | None, typer.Argument(metavar="[CONTRACT]", help="A contract_id of contracts.parquet.")
    ] = None,
    *,
    vendor: Annotated[
        str | None, typer.Option(metavar="ID", help="With --product, instead of an id.")
    ] = None,
    product: Annotated[
        str | None, typer.Option(metavar="ID", help="With --vendor, instead of an id.")
    ] = None,
    names: Names = None,
) -> None:
    """Say one contract in words: the change of plan, who saves what, what is paid, what is certain."""
    from jaxcpp.report import ContractError, ReportError, contract_of, explain, read_names

    pair = vendor is not None and product is not None
    if (contract is None) != pair or (contract is not None and (vendor or product)):
        fail("name a contract by its id, or by --vendor and --product", Status.BAD_INPUT)
    try:
        wanted = contract if contract is not None else contract_of(run, str(vendor), str(product))
        paragraphs = explain(run, wanted, read_names(names))
    except (ContractError, ReportError) as error:
        fail(str(error), Status.BAD_INPUT)
    typer.echo("\n\n".join(textwrap.fill(text, _WIDTH, break_on_hyphens=False) for text in paragraphs))
