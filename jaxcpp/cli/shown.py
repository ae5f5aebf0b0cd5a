"""Tables on the terminal, every number whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

WIDEST = 10_000
"""Characters a line at most."""


def show(table: Table) -> None:
    """Print a table as wide as it is: a terminal may break its lines, but no number is cut short."""
    from rich.console import Console

    console = Console()
    needed = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    console.width = max(console.width, needed)
    console.print(table)
