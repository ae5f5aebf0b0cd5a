"""Without the library there is little to test here, and every skip says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

native = pytest.importorskip("jaxcpp_kernels", reason="the package jaxcpp_kernels is not on the path")

HERE = Path(__file__).resolve().parent
NEED_NO_LIBRARY = {"test_build.py", "test_sanitizers.py"}
OTHER = "JAXCPP_TEST_KERNELS"
"""Environment variable: a library to test in place of the one built, as test_emulated.py does."""

if OTHER in os.environ:
    from jaxcpp_kernels import build

    build.LIBRARY = Path(os.environ[OTHER])


def pytest_collection_modifyitems(items):
    reason = native.why_not()
    for item in items:
        if reason and item.path.parent == HERE and item.path.name not in NEED_NO_LIBRARY:
            item.add_marker(pytest.mark.skip(reason=f"native kernels: {reason}"))
