"""Who each end is, whom it trusts, and the token; never printed, never logged."""

from __future__ import annotations

import hmac
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, repr=False)
class Credentials:
    """One end's own certificate and key, and the authority of the other end's, as PEM text; and the token."""

    certificate: bytes
    key: bytes
    authority: bytes
    token: str

    def __repr__(self) -> str:
        return "Credentials(...)"

    @property
    def bearer(self) -> str:
        """The header `authorization` of a question."""
        return f"Bearer {self.token}"

    def admits(self, shown: str) -> bool:
        """Whether a header `authorization` is the right one; takes the same time either way."""
        return hmac.compare_digest(shown.encode(errors="replace"), self.bearer.encode())

    def context(self, *, serving: bool) -> ssl.SSLContext:
        """TLS that shows our certificate and demands one of the other end's authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if serving else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.authority.decode())
        with tempfile.TemporaryDirectory() as folder:  # ours alone; ssl reads files only
            pair = Path(folder) / "pair.pem"
            pair.touch(0o600)
            pair.write_bytes(self.certificate.rstrip() + b"\n" + self.key)
            context.load_cert_chain(pair)
        return context
