"""Without the library there is nothing to test here, and every skip says why."""

from __future__ import annotations

import pytest

native = pytest.importorskip("jaxcpp_kernels")

NEEDS_NO_LIBRARY = ("test_build.py", "test_sanitizers.py")


def pytest_collection_modifyitems(items):
    reason = native.why_not()
    if not reason:
        return
    for item in items:
        here = item.path.parent == __import__("pathlib").Path(__file__).parent
        if here and item.path.name not in NEEDS_NO_LIBRARY:
            item.add_marker(pytest.mark.skip(reason=f"native kernels: {reason}"))
