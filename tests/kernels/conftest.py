"""Without the library there is little to test here, and every skip says why."""

from __future__ import annotations

from pathlib import Path

import pytest

native = pytest.importorskip("jaxcpp_kernels", reason="the package jaxcpp_kernels is not on the path")

HERE = Path(__file__).resolve().parent
NEED_NO_LIBRARY = {"test_build.py", "test_sanitizers.py"}


def pytest_collection_modifyitems(items):
    reason = native.why_not()
    for item in items:
        if reason and item.path.parent == HERE and item.path.name not in NEED_NO_LIBRARY:
            item.add_marker(pytest.mark.skip(reason=f"native kernels: {reason}"))
