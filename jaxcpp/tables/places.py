"""Folders and files wherever pyarrow finds them: a path of this machine, or an address as `s3://bucket/x`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

COPIED_AT_ONCE: Final = 5 * 2**30
"""Bytes that S3 copies in one request."""

CARRIED: Final = 2**23
"""Bytes that are held at once of a larger file."""

STORES: Final = ("s3", "gcs", "abfs")
"""Filesystems whose paths begin with a bucket; they have no rename, and show a file once it is whole."""

TROUBLE: Final = {
    "the store does not let us do this: see to the credentials (s3: AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role; gs: GOOGLE_APPLICATION_CREDENTIALS), and "
    "to the right to list and read the fleet, and to list, read, write and delete in the run's folder": (
        *("ACCESS_DENIED", "INVALID_ACCESS_KEY", "INVALID_CLIENT_TOKEN", "SIGNATURE_DOES_NOT_MATCH"),
        *("401", "403"),
    ),
    "nothing answers there: see to the network; a store that is not Amazon's or Google's is named by "
    "AWS_ENDPOINT_URL, or in the address: ?endpoint_override=HOST:PORT&scheme=https": (
        *("NETWORK_CONNECTION", "Could not resolve", "Couldn't resolve", "Could not connect", "UNAVAILABLE"),
    ),
    "make the bucket first, or mend its name": ("NO_SUCH_BUCKET", "Bucket '"),
    "name the bucket's region: AWS_DEFAULT_REGION, or ?region= in the address": ("301", "region"),
}
"""What to do about what pyarrow says of a store, by words in it."""


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


def cure(error: Exception) -> str:
    """What to do about what an object store said; nothing where its words are not known."""
    said = str(error)
    return next((what for what, words in TROUBLE.items() if any(word in said for word in words)), "")


def missing_bucket(where: Folder) -> str:
    """The bucket that a folder or file of an object store would be in, where there is none of that name."""
    if not isinstance(where, Place) or where.filesystem.type_name not in STORES:
        return ""
    bucket = where.path.split("/")[0]
    try:
        there = Place(where.filesystem, bucket).exists()
    except OSError:  # whoever may read in a bucket need not be allowed to ask about it
        return ""
    return "" if there else bucket


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
        words = "; ".join(filter(None, [" ".join(str(error).split()), cure(error)]))
        raise PlaceError(f"{_shown(where)}: {words}") from None
    return Place(filesystem, path, _shown(where))


def _shown(address: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def filesystem_of(where: Folder) -> tuple[fs.FileSystem, str]:
    """A pyarrow filesystem, and the path there."""
    if isinstance(where, Place):
        return where.filesystem, where.path
    return fs.LocalFileSystem(), str(where.absolute())


def rename(file: Folder, target: Folder) -> None:
    """Gives a file another name on its filesystem; what had it before is replaced.

    An object store copies it whole and takes the other away; a copy is there once all of it is.
    """
    (filesystem, where), (_, to) = filesystem_of(file), filesystem_of(target)
    if filesystem.type_name == "s3" and filesystem.get_file_info(where).size > COPIED_AT_ONCE:
        _carry(filesystem, where, to)
    else:
        filesystem.move(where, to)


def _carry(filesystem: fs.FileSystem, where: str, to: str) -> None:
    """Moves a file through this machine, some of it at a time."""
    try:
        with (
            filesystem.open_input_stream(where, compression=None) as source,
            filesystem.open_output_stream(to, compression=None) as sink,
        ):
            while data := source.read(CARRIED):
                sink.write(data)
    except BaseException:
        filesystem.delete_file(to)  # closed half written, it is there
        raise
    filesystem.delete_file(where)


def opened(where: Folder) -> Any:
    """What pyarrow reads a file from: its path on this machine, an open file elsewhere."""
    return where.filesystem.open_input_file(where.path) if isinstance(where, Place) else where


def remove_folder(where: Folder) -> None:
    """Removes a folder with all that it holds, if there is one."""
    filesystem, path = filesystem_of(where)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)
