"""How far a run is, on stderr, where a person is watching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jaxcpp.fleet.settings import OnProgress, Progress


@contextmanager
def progress_bar(console: Console) -> Iterator[OnProgress]:
    """A bar fed by the function it yields; without a terminal it shows nothing."""
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("contracts", total=None, state="starting")

        def show(progress: Progress) -> None:
            state = f"certified {progress.certified:,}  worst gap {progress.worst_gap:.1e}"
            bar.update(task, total=progress.total, completed=progress.done, state=state)

        yield show
