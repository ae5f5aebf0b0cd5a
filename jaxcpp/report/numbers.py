"""How numbers are written for people: money to the cent, shares in percent, units without needless digits."""

from __future__ import annotations

import math

NONE = "–"
"""What stands where there is no number."""


def money(amount: float, currency: str = "") -> str:
    """An amount to the cent, `1,234.50`, with its currency before it where one is given."""
    if not math.isfinite(amount):
        return NONE
    text = f"{amount + 0.0:,.2f}"
    text = "0.00" if text == "-0.00" else text
    return f"{currency} {text}".lstrip()


def change(amount: float) -> str:
    """A difference in money, with its sign."""
    text = money(amount)
    return text if text[0] in f"-{NONE}" or text == "0.00" else f"+{text}"


def units(amount: float) -> str:
    """Units to a hundredth at most, without trailing zeros; from ten thousand on without a fraction."""
    if not math.isfinite(amount):
        return NONE
    if abs(amount) >= 10_000.0:
        return whole_units(amount)
    return f"{round(amount, 2) + 0.0:,.10g}"


def whole_units(amount: float, *, sign: bool = False) -> str:
    """Units without a fraction, as a table of many has room for, with their sign if asked for."""
    if not math.isfinite(amount):
        return NONE
    number = round(amount)
    return f"{number:+,d}" if sign and number else f"{number:,d}"


def percent(share: float) -> str:
    """A share in percent: two decimals, or two significant digits where that would say too little."""
    if not math.isfinite(share):
        return NONE
    if share == 0.0 or abs(share) >= 0.0001:
        return f"{share:.2%}"
    digits = 1 - math.floor(math.log10(abs(share) * 100.0))
    return f"{share * 100.0:.{digits}f}" + "%"


def asked(share: float) -> str:
    """A tolerance in percent, as a person would write it: `0.001%`."""
    return f"{share * 100.0:.10f}".rstrip("0").rstrip(".") + "%"


def bound(amount: float) -> str:
    """An upper bound in money, rounded up to the cent, so that it still is one; `0.01` at least."""
    if not math.isfinite(amount):
        return NONE
    return f"{max(math.ceil(amount * 100.0 - 1e-9), 1) / 100.0:,.2f}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 contract`, `3,291 contracts`."""
    return f"{number:,d} {one if number == 1 else many or one + 's'}"


def seconds(amount: float) -> str:
    """Seconds to a tenth."""
    return f"{amount:,.1f}"
