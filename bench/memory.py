"""What a process holds in memory, and the most that it has held, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_megabytes() -> float:
    """The most that this process has held since it began, or since `forget_peak`."""
    return _line("VmHWM")


def held_megabytes() -> float:
    """What it holds now."""
    return _line("VmRSS")


def forget_peak() -> None:
    """Count the most from here on. Raises OSError where the system does not allow it."""
    CLEAR.write_text("5", encoding="ascii")


def _line(name: str) -> float:
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 1024.0  # from kilobytes
    raise OSError(f"{STATUS} has no line {name}")
