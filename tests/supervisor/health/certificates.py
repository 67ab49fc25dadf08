"""Certificates made by openssl, as an operator makes them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


#: Of a curve: openssl takes 2 ms for such a key, and up to a second for one of RSA.
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_RSA_KEY: Final = ("-newkey", "rsa:2048", "-nodes")


class Certificate(NamedTuple):
    """A certificate that signs itself, and its key, both PEM."""

    cert: Path
    key: Path


def make_certificate(folder: Path, name: str, *, rsa: bool = False) -> Certificate:
    """A certificate for the host ``name``."""
    cert, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    made = [*(_RSA_KEY if rsa else _KEY), "-days", "2", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", "-x509", *made, *subject], check=True, capture_output=True)
    return Certificate(cert, key)


class Authority:
    """An authority that signs and revokes certificates of clients."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / f"authority-{name}"
        self._folder.mkdir()
        self.cert, self._key = make_certificate(self._folder, name)
        (self._folder / "index").write_text("")
        (self._folder / "number").write_text("01\n")
        (self._folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={self._folder}/index\nnew_certs_dir={self._folder}\n"
            f"rand_serial=yes\ndefault_md=sha256\npolicy=any\ncrlnumber={self._folder}/number\n"
            "default_days=2\n[any]\ncommonName=supplied\n"
        )

    def sign(self, name: str) -> Certificate:
        """A certificate for the client ``name``."""
        key, request, cert = (self._folder / f"{name}{suffix}" for suffix in ("-key.pem", ".csr", ".pem"))
        made = [*_KEY, "-keyout", str(key), "-out", str(request)]
        self._openssl("req", "-new", *made, "-subj", f"/CN={name}")
        self._ca("-batch", "-notext", "-in", str(request), "-out", str(cert))
        return Certificate(cert, key)

    def revoke(self, certificate: Certificate) -> None:
        self._ca("-revoke", str(certificate.cert))

    def write_list(self, path: Path, *times: str) -> None:
        """The list of what was revoked, valid for a month by default."""
        new = path.with_suffix(".new")
        self._ca("-gencrl", *(times or ("-crldays", "30")), "-out", str(new))
        new.rename(path)

    def _ca(self, *arguments: str) -> None:
        files = ("-cert", str(self.cert), "-keyfile", str(self._key))
        self._openssl("ca", "-config", str(self._folder / "ca.cnf"), *files, *arguments)

    @staticmethod
    def _openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
