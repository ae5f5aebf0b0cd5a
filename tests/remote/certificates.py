"""Certificates for tests: an authority, and whom it vouches for."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jaxcpp.remote.credentials import Credentials

TOKEN = "not-a-secret-of-anyone"


@dataclass
class Authority:
    """Vouches for names."""

    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(self.name, self._key, authority=True)

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *, expired: bool = False) -> tuple[bytes, bytes]:
        """A certificate and its key; the name is the only one that it is for."""
        key = ec.generate_private_key(ec.SECP256R1())
        encoding, format_ = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        certificate = self._sign(name, key, expired=expired)
        secret = key.private_bytes(encoding, format_, serialization.NoEncryption())
        return certificate.public_bytes(encoding), secret

    def credentials(self, name: str, *, token: str = TOKEN, trusts: Authority | None = None) -> Credentials:
        """All that one end needs."""
        certificate, key = self.issue(name)
        return Credentials(certificate, key, (trusts or self).pem, token)

    def _sign(self, name: str, key: Any, *, authority: bool = False, expired: bool = False) -> Any:
        now = dt.datetime.now(dt.UTC)
        until = now - dt.timedelta(days=1) if expired else now + dt.timedelta(days=1)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        names: list[Any] = [x509.DNSName(name)]
        if name == "127.0.0.1":
            names = [x509.IPAddress(ipaddress.ip_address(name))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=2))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
