"""Folders and files wherever pyarrow finds them: a path of this machine, or an address as `s3://bucket/x`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs


class PlaceError(ValueError):
    """An address that no filesystem is known for."""


class Place:
    """A folder or file on a pyarrow filesystem, with those verbs of `pathlib.Path` that tables need.

    `filesystem` is any of pyarrow's, or an fsspec one in its `PyFileSystem`; `path` is a path there.
    """

    def __init__(self, filesystem: fs.FileSystem, path: str, shown: str = "") -> None:
        self.filesystem, self.path, self._shown = filesystem, path.rstrip("/"), shown.rstrip("/")

    def __str__(self) -> str:
        return self._shown or self.path

    def __repr__(self) -> str:
        return f"Place({str(self)!r})"

    def __truediv__(self, name: str) -> Place:
        return Place(self.filesystem, f"{self.path}/{name}", f"{self._shown}/{name}" if self._shown else "")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def suffix(self) -> str:
        """What follows the last dot of the name, with it."""
        return Path(self.name).suffix

    def with_name(self, name: str) -> Place:
        """Another entry of the same folder."""
        head, _, _ = self.path.rpartition("/")
        shown, _, _ = self._shown.rpartition("/")
        return Place(self.filesystem, f"{head}/{name}" if head else name, f"{shown}/{name}" if shown else "")

    def _kind(self) -> fs.FileType:
        return self.filesystem.get_file_info(self.path).type

    def exists(self) -> bool:
        """Whether there is a file or a folder."""
        return self._kind() != fs.FileType.NotFound

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self._kind() == fs.FileType.Directory

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self._kind() == fs.FileType.File

    def iterdir(self) -> Iterator[Place]:
        """The entries of a folder."""
        for info in self.filesystem.get_file_info(fs.FileSelector(self.path)):
            yield self / info.base_name

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:  # noqa: ARG002  (pathlib's)
        """Makes the folder, and those above it."""
        self.filesystem.create_dir(self.path, recursive=parents)

    def read_bytes(self) -> bytes:
        """A whole file."""
        with self.filesystem.open_input_file(self.path) as file:
            return bytes(file.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        """A whole file as text."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes a file."""
        if not (missing_ok and not self.exists()):
            self.filesystem.delete_file(self.path)


Folder = Path | Place
"""A folder or a file: of this machine, or on a filesystem of pyarrow's."""


def place(where: str | Path | Place) -> Folder:
    """The folder or file of an address or a path.

    Raises `PlaceError`, with a message for people, for an address that pyarrow knows no filesystem for.
    """
    if not isinstance(where, str):
        return where
    if "://" not in where:
        return Path(where)
    try:
        filesystem, path = fs.FileSystem.from_uri(where)
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        raise PlaceError(f"{where}: {' '.join(str(error).split())}") from None
    return Place(filesystem, path, where)


def filesystem_of(where: Folder) -> tuple[fs.FileSystem, str]:
    """A pyarrow filesystem, and the path there."""
    if isinstance(where, Place):
        return where.filesystem, where.path
    return fs.LocalFileSystem(), str(where.absolute())


def rename(file: Folder, target: Folder) -> None:
    """Gives a file another name on its filesystem; what had it before is replaced."""
    filesystem, where = filesystem_of(file)
    filesystem.move(where, filesystem_of(target)[1])


def opened(where: Folder) -> Any:
    """What pyarrow reads a file from: its path on this machine, an open file elsewhere."""
    return where.filesystem.open_input_file(where.path) if isinstance(where, Place) else where


def remove_folder(where: Folder) -> None:
    """Removes a folder with all that it holds, if there is one."""
    filesystem, path = filesystem_of(where)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)
