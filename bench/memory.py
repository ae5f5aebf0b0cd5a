"""What a process holds in memory, and the most that it has held, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

CLEAR = Path("/proc/self/clear_refs")


def peak_megabytes() -> float:
    """The most that this process has held since it began, or since `forget_peak`."""
    return _line("VmHWM")


def held_megabytes(process: int | str = "self") -> float:
    """What it holds now, or another process does. Raises OSError where there is no such process."""
    return _line("VmRSS", process)


def forget_peak() -> None:
    """Count the most from here on. Raises OSError where the system does not allow it."""
    CLEAR.write_text("5", encoding="ascii")


def _line(name: str, process: int | str = "self") -> float:
    path = Path(f"/proc/{process}/status")
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 1024.0  # from kilobytes
    raise OSError(f"{path} has no line {name}")
