"""What a filesystem refuses, told in words: no access, nothing there, no room."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jaxcpp.cli.status import Status, fail

CURES: Final = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EACCES: "see to who may write there, or name another folder",
    errno.EROFS: "name a folder that can be written to",
}
"""What to do about what this machine's filesystems refuse."""


@contextmanager
def files_told(*addresses: str, afterwards: str = "") -> Iterator[None]:
    """Leaves with status 2 and words where a folder cannot be read or written; `afterwards` is added.

    Errors of this machine's files that nobody foresaw are raised as they are.
    """
    from jaxcpp.tables.places import cure

    try:
        yield
    except OSError as error:
        remote = any("://" in address for address in addresses)
        what = (cure(error) if remote else "") or CURES.get(error.errno or 0, "")
        if not (remote or what):
            raise
        fail("; ".join(filter(None, [" ".join(str(error).split()), what, afterwards])), Status.BAD_INPUT)
