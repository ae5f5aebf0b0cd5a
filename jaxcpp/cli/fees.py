"""What `--fee` may say, and a file of fees by vendor and product."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from jaxcpp.cli.toml import read_toml
from jaxcpp.fleet.rules import Charge, FeeRule

NONE: Final = "none"
SHARES: Final = {
    "additive": "additive",
    "multiplicative": "multiplicative",
    "roi": "roi",
    "roi-ex-post": "roi_ex_post",
}
"""Fees of one number, as they are called and as `FeeRule` calls them."""

SIDES: Final = ("over", "under")
LABELS: Final = {
    "additive": "additive fee [{} / contract]",
    "multiplicative": "multiplicative fee [of the transfer]",
    "roi": "return asked [of the transfer]",
    "roi_ex_post": "return asked afterwards [of the transfer]",
    "over": "charge above just-in-time [{} / unit]",
    "under": "charge below just-in-time [{} / unit]",
}
"""The numbers of a `FeeRule` on an axis, the currency to be put in."""

KNOWN: Final = (
    "none, additive=AMOUNT, multiplicative=SHARE, roi=SHARE, roi-ex-post=SHARE, "
    "deviation=over:AMOUNT,under:AMOUNT, FILE.toml"
)


def parse_fees(texts: list[str]) -> tuple[FeeRule, ...]:
    """The rules that the values of `--fee` make together: a sum of fees, or what one file says.

    Raises typer.BadParameter on anything else.
    """
    files = [text for text in texts if text.endswith(".toml")]
    if files:
        if len(texts) > 1:
            raise typer.BadParameter(f"{files[0]} cannot be combined with other fees; put them into the file")
        return _from_file(Path(files[0]))
    numbers: dict[str, Any] = {}
    for text in texts:
        for name, amount in _parse(text).items():
            numbers[name] = numbers.get(name, 0.0) + amount
    return (FeeRule(**numbers),) if numbers else ()


def _parse(text: str) -> dict[str, float]:
    """One fee as the fields of a rule."""
    kind, _, amount = text.partition("=")
    if text == NONE:
        return {}
    if kind in SHARES:
        return {SHARES[kind]: _amount(amount, text)}
    if kind != "deviation":
        raise typer.BadParameter(f"unknown fee '{text}'; known fees: {KNOWN}")
    sides = {}
    for part in amount.split(","):
        side, colon, number = part.partition(":")
        if side not in SIDES or not colon or side in sides:
            raise typer.BadParameter(f"'{text}' is not deviation=over:AMOUNT,under:AMOUNT")
        sides[side] = _amount(number, text)
    return sides


def _amount(amount: str, text: str) -> float:
    try:
        number = float(amount)
    except ValueError:
        raise typer.BadParameter(f"'{amount}' in '{text}' is not a number") from None
    if not (math.isfinite(number) and number >= 0):
        raise typer.BadParameter(f"the amount in '{text}' must be finite and at least 0")
    return number


def _from_file(path: Path) -> tuple[FeeRule, ...]:
    """Rules for everyone, by vendor, by product, and by a vendor's product."""
    content = read_toml(path)
    rules = [_rule(path, "", {k: v for k, v in content.items() if k not in ("vendor", "product")})]
    for product, fees in _tables(path, "product", content.get("product", {})):
        rules.append(_rule(path, f"product.{product}.", fees, product=product))
    for vendor, fees in _tables(path, "vendor", content.get("vendor", {})):
        where = f"vendor.{vendor}."
        own = {key: value for key, value in fees.items() if key != "product"}
        if own or "product" not in fees:
            rules.append(_rule(path, where, own, vendor=vendor))
        for product, fee in _tables(path, f"{where}product", fees.get("product", {})):
            rules.append(_rule(path, f"{where}product.{product}.", fee, vendor=vendor, product=product))
    return tuple(rules)


def fee_file(rules: Iterable[FeeRule]) -> str:
    """The text of a file that `parse_fees` reads as these rules, for everyone and by vendor."""
    lines = []
    for rule in sorted(rules, key=lambda one: one.vendor):  # what is for everyone comes before any table
        if rule.vendor:
            lines.append(f"[vendor.{json.dumps(rule.vendor)}]")
        amounts = {name: getattr(rule, field) for name, field in SHARES.items()}
        lines += [f"{name} = {amount!r}" for name, amount in amounts.items() if amount]
        if rule.over or rule.under:
            lines.append(f"deviation = {{ over = {rule.over!r}, under = {rule.under!r} }}")
    return "".join(f"{line}\n" for line in lines)


def _tables(path: Path, where: str, content: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(content, dict) or not all(isinstance(fees, dict) for fees in content.values()):
        raise typer.BadParameter(f"{path}: {where} must hold tables of fees, [{where}.NAME]")
    return list(content.items())


def _rule(path: Path, where: str, fees: Mapping[str, Any], vendor: str = "", product: str = "") -> FeeRule:
    numbers: dict[str, Any] = {}
    for key, value in fees.items():
        if key in SHARES:
            numbers[SHARES[key]] = _number(path, where + key, value)
        elif key == "deviation" and isinstance(value, dict):
            for side, charge in value.items():
                if side not in SIDES:
                    raise typer.BadParameter(
                        f"{path}: {where}deviation.{side} is unknown; known: over, under"
                    )
                numbers[side] = _charge(path, f"{where}deviation.{side}", charge)
        else:
            known = ", ".join((*SHARES, "deviation = { over, under }", "[vendor.NAME]", "[product.NAME]"))
            raise typer.BadParameter(f"{path}: {where}{key} is unknown; known: {known}")
    return FeeRule(vendor=vendor, product=product, **numbers)


def _charge(path: Path, where: str, value: Any) -> Charge:
    """A number, or a table of numbers or lists by inbound node."""
    if not isinstance(value, dict):
        return _number(path, where, value)
    return {
        node: tuple(_number(path, f"{where}.{node}", one) for one in amount)
        if isinstance(amount, list)
        else _number(path, f"{where}.{node}", amount)
        for node, amount in value.items()
    }


def _number(path: Path, where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise typer.BadParameter(f"{path}: {where} must be a number, not {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise typer.BadParameter(f"{path}: {where} must be finite and at least 0")
    return float(value)
