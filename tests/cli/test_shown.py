"""A table on a narrow terminal, or on none."""

from rich.table import Table

from jaxcpp.cli.shown import show


def test_no_number_is_cut_short(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    table = Table(box=None)
    for name in ("gain so far", "retailer so far"):
        table.add_column(name, justify="right")
    table.add_row("-10,894.12", "1,234,567,890.12")
    show(table)
    heads, numbers = capsys.readouterr().out.splitlines()
    assert heads.split("  ")[0].strip() == "gain so far"
    assert numbers.split() == ["-10,894.12", "1,234,567,890.12"]
