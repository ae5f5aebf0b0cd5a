"""What `--agents` names: the vendors that keep their tables at home, and how to reach each of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from jaxcpp.cli.toml import read_toml

if TYPE_CHECKING:
    from jaxcpp.fleet.vendors import OutsideVendor
    from jaxcpp.remote.credentials import Credentials

TOKEN: Final = "JAXCPP_AGENT_TOKEN"
"""The environment variable that a token is read from where no file is named."""
DEADLINE: Final = 30.0
"""Seconds that an answer may take where the file does not say."""
TOP: Final = ("certificate", "key", "deadline", "vendor")
EACH: Final = ("address", "authority", "identity", "token_file", "token_env")


@dataclass(frozen=True)
class Agents:
    """The vendors with an agent, by id, and the seconds that an answer may take."""

    vendors: Mapping[str, OutsideVendor]
    deadline: float


def read_agents(path: Path) -> Agents:
    """The agents that a file names; nobody is connected to yet.

    Raises typer.BadParameter, in words, on a file that does not say what it must; no secret is in them.
    """
    from jaxcpp.remote.client import RemoteVendor
    from jaxcpp.remote.flight import FlightTransport
    from jaxcpp.remote.https import HttpsTransport

    content = read_toml(path)
    _known(path, "", content, TOP)
    listed = content.get("vendor")
    if (
        not isinstance(listed, dict)
        or not listed
        or not all(isinstance(one, dict) for one in listed.values())
    ):
        raise typer.BadParameter(f"{path}: name each vendor's agent in a table of its own, [vendor.ID]")
    deadline = content.get("deadline", DEADLINE)
    if isinstance(deadline, bool) or not isinstance(deadline, int | float) or not 0.0 < deadline < 86_400.0:
        raise typer.BadParameter(f"{path}: deadline must be a number of seconds")
    certificate, key = (_file(path, "", content, name) for name in ("certificate", "key"))
    vendors = {}
    for name, one in listed.items():
        where = f"vendor.{name}."
        _known(path, where, one, EACH)
        address = _address(path, where, one)
        transport = (HttpsTransport if address.startswith("https:") else FlightTransport)(
            address,
            credentials(certificate, key, _file(path, where, one, "authority"), _token(path, where, one)),
            identity=_text(path, where, one, "identity") if "identity" in one else None,
            deadline=float(deadline),
        )
        vendors[name] = RemoteVendor(name, transport)
    return Agents(vendors, float(deadline))


def credentials(certificate: Path, key: Path, authority: Path, token: str) -> Credentials:
    """Certificates, key and token, read. Raises typer.BadParameter on a file that cannot be read."""
    from jaxcpp.remote.credentials import Credentials

    return Credentials(_bytes(certificate), _bytes(key), _bytes(authority), token)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from None


def read_token(file: Path | None, variable: str = TOKEN) -> str:
    """A secret from a file, or from the environment; never from the command line.

    Raises typer.BadParameter where there is none.
    """
    if file is None:
        token = os.environ.get(variable, "")
    else:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise typer.BadParameter(f"cannot read the token in {file}") from None
    if not token or not token.isascii() or not token.isprintable():
        source = f"the environment variable {variable}" if file is None else str(file)
        raise typer.BadParameter(f"no token in {source}; write one line of printable ASCII")
    return token


def _token(path: Path, where: str, one: Mapping[str, Any]) -> str:
    if "token_file" in one and "token_env" in one:
        raise typer.BadParameter(f"{path}: {where}token_file and {where}token_env are two ways; give one")
    if "token_env" in one:
        return read_token(None, _text(path, where, one, "token_env"))
    return read_token(_file(path, where, one, "token_file"))


def _address(path: Path, where: str, one: Mapping[str, Any]) -> str:
    address = _text(path, where, one, "address")
    if not re.fullmatch(r"[^:/@]+:\d{1,5}|https://[^:/@]+(:\d{1,5})?(/[^?#]*)?", address):
        raise typer.BadParameter(
            f"{path}: {where}address must be HOST:PORT or https://HOST:PORT, not {address!r}"
        )
    return address


def _file(path: Path, where: str, table: Mapping[str, Any], name: str) -> Path:
    """A file named in a table, from the folder of the file that names it."""
    return path.parent / _text(path, where, table, name)


def _text(path: Path, where: str, table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value:
        raise typer.BadParameter(f"{path}: {where}{name} must be given, as text")
    return value


def _known(path: Path, where: str, table: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for key in table:
        if key not in names:
            raise typer.BadParameter(f"{path}: {where}{key} is unknown; known: {', '.join(names)}")
