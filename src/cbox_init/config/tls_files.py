"""Reads the files of ``api_tls``, ``metrics_tls`` and ``readiness.http_tls``.

For the listeners, and for ``check-config``.

Imported only where TLS is enabled, because of ssl. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import re
import ssl
import stat
import time
from base64 import b64decode
from binascii import Error as Base64Error
from calendar import timegm
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from cbox_init.config.model import ClientAuth, TlsVersion
from cbox_init.config.small_file import SmallFileError, read_small_file
from cbox_init.errors import TlsFileError

if TYPE_CHECKING:
    from cbox_init.config.model import TlsConfig

_MOST_BYTES: Final = 1024 * 1024
_DAY_S: Final = 86400
_NEVER_UNIX: Final = 253402300799  # the year 9999
#: A certificate that expires within this time is reported, in days. Lists of revoked ones are short-lived.
EXPIRES_SOON_DAYS: Final = 30
_CRL_EXPIRES_SOON_DAYS: Final = 1

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
_CONVERT: Final = "openssl x509 -in FILE -inform DER -out FILE.pem"
_CRL: Final = re.compile(rb"-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]*)-----END X509 CRL-----")
_CONVERT_CRL: Final = "openssl crl -in FILE -inform DER -out FILE.pem"

_VERSIONS: Final = {
    TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}
#: With forward secrecy and authenticated encryption: what RFC 9325 recommends for TLS 1.2.
_USUAL_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"

#: The suites of TLS 1.3 have the same names everywhere. OpenSSL offers them whenever TLS 1.3 is spoken.
_TLS_1_3_SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
#: The names of Go's crypto/tls, with OpenSSL's. RC4 and 3DES are left out: OpenSSL no longer has them.
_GO_SUITES: Final = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
}


class TlsRemark(NamedTuple):
    """Something that does not prevent TLS; ``harmful`` is a warning, otherwise it is only worth knowing."""

    key: str
    message: str
    hint: str
    harmful: bool = True


class ExpiringCertificate(NamedTuple):
    """A certificate of a section, or a list of revoked ones: its key, the file that it is in, its validity.

    Times are in Unix seconds. The end is worth a warning ``soon_days`` before.
    """

    key: str
    path: str
    begins_unix: int
    ends_unix: int
    soon_days: int = EXPIRES_SOON_DAYS

    def remarks(self) -> list[TlsRemark]:
        """Whether it is not valid now, or soon will not be."""
        now = time.time()
        key, path, ends = self.key, self.path, _day(self.ends_unix)
        if self.begins_unix > now:
            message = f"{path} is valid only from {_day(self.begins_unix)}"
            return [TlsRemark(key, message, "check this machine's clock")]
        if self.ends_unix <= now:
            what = ", so clients are refused" if key == "crl_file" else ""
            return [TlsRemark(key, f"{path} expired on {ends}{what}", "renew it")]
        days = int((self.ends_unix - now) / _DAY_S)
        if days < self.soon_days:
            return [TlsRemark(key, f"{path} expires on {ends}, in {days} days", "renew it")]
        return []


class LoadedTls(NamedTuple):
    """What the listener uses from now on; ``lasting`` are the remarks that hold at any time.

    ``trusted`` are the authorities of clients, ``revoked`` the lists of their certificates that do not count.
    """

    context: ssl.SSLContext
    lasting: tuple[TlsRemark, ...]
    certificates: tuple[ExpiringCertificate, ...]
    trusted: frozenset[bytes] = frozenset()
    revoked: frozenset[bytes] = frozenset()

    def trusts_as(self, before: LoadedTls) -> bool:
        """Whether every client that had a valid certificate ``before`` has one now."""
        return before.trusted <= self.trusted and before.revoked == self.revoked

    @property
    def remarks(self) -> tuple[TlsRemark, ...]:
        """All that is worth knowing now."""
        return *self.lasting, *(remark for one in self.certificates for remark in one.remarks())

    @property
    def not_after_unix(self) -> int | None:
        """When the server's certificate expires; None when it does not say."""
        return next((one.ends_unix for one in self.certificates if one.key == "cert_file"), None)


def load_tls(config: TlsConfig) -> LoadedTls:
    """Read the files of ``config`` and check that they fit. Raises TlsFileError."""
    cert_file = _given(config.cert_file, "cert_file", "the path of the server's certificate, PEM")
    key_file = _given(config.key_file, "key_file", "the path of the certificate's key, PEM")
    remarks: list[TlsRemark] = []
    cert, _ = _read(cert_file, "cert_file")
    certificates = _certificates(cert, cert_file, "cert_file")
    key, mode = _read(key_file, "key_file")
    _check_key(key, key_file)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        remarks.append(
            TlsRemark("key_file", f"{key_file} can be read by every user", f"chmod 600 {key_file}")
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.minimum_version = _VERSIONS[config.min_version]
    context.set_alpn_protocols(["http/1.1"])
    _set_suites(context, config.cipher_suites)
    try:
        # Without a password OpenSSL would ask the terminal.
        context.load_cert_chain(cert_file, key_file, password=lambda: b"")
    except ssl.SSLError as error:
        raise _misfit(error, cert_file, key_file) from error
    except OSError as error:
        raise TlsFileError("cert_file", f"{cert_file}: {error.strerror}", "check both files") from error
    used = _expiring(certificates[:1], cert_file, "cert_file")
    authorities = _set_client_auth(context, config, remarks)
    lists = _set_revoked(context, config, authorities, remarks)
    expiring = (*used, *_expiring(authorities, config.ca_file or "", "ca_file"))
    if config.crl_file:
        path, soon = config.crl_file, _CRL_EXPIRES_SOON_DAYS
        ends = ((one.begins_unix, one.ends_unix) for one in lists)
        expiring += tuple(ExpiringCertificate("crl_file", path, *validity, soon) for validity in ends)
    revoked = frozenset(one.der for one in lists)
    return LoadedTls(context, tuple(remarks), expiring, frozenset(authorities), revoked)


def _given(path: str | None, key: str, what: str) -> str:
    if not path:
        raise TlsFileError(key, "is not set", f"set it to {what}")
    return path


def _read(path: str, key: str) -> tuple[bytes, int]:
    """The content of a file and its mode."""
    try:
        return read_small_file(path, _MOST_BYTES, "name a PEM file", "name a PEM file")
    except SmallFileError as error:
        raise TlsFileError(key, error.message, error.hint, gone=error.gone) from error


def _certificates(data: bytes, path: str, key: str) -> list[bytes]:
    """The certificates in a PEM file, as DER; at least one."""
    found = _parts(_CERTIFICATE, data, path, key, "certificate")
    if not found:
        hint = "swap cert_file and key_file" if b"PRIVATE KEY-----" in data else f"convert it: {_CONVERT}"
        raise TlsFileError(key, f"{path} has no certificate in PEM", hint)
    return found


def _parts(what: re.Pattern[bytes], data: bytes, path: str, key: str, name: str) -> list[bytes]:
    try:
        return [b64decode(b"".join(text.split()), validate=True) for text in what.findall(data)]
    except Base64Error as error:
        raise TlsFileError(key, f"{path} has a damaged {name}", "copy it again, whole") from error


def _check_key(data: bytes, path: str) -> None:
    if b"BEGIN ENCRYPTED PRIVATE KEY-----" in data or b"Proc-Type: 4,ENCRYPTED" in data:
        hint = f"decrypt it: openssl pkey -in {path} -out NEW.pem"
        raise TlsFileError("key_file", f"{path} is encrypted, which is not supported", hint)
    if b"PRIVATE KEY-----" not in data:
        hint = "name the file that begins with -----BEGIN PRIVATE KEY-----"
        raise TlsFileError("key_file", f"{path} has no private key in PEM", hint)


def _misfit(error: ssl.SSLError, cert_file: str, key_file: str) -> TlsFileError:
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        hint = "use the key of the server's certificate, which comes first in cert_file"
        return TlsFileError("key_file", f"{key_file} does not fit the certificate in {cert_file}", hint)
    reason = error.reason.lower().replace("_", " ") if error.reason else "damaged"
    return TlsFileError(
        "cert_file", f"{cert_file} and {key_file} cannot be used: {reason}", "copy both again, whole"
    )


def _set_suites(context: ssl.SSLContext, names: tuple[str, ...]) -> None:
    if not names:
        context.set_ciphers(_USUAL_SUITES)
        return
    every = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    every.set_ciphers("ALL:!aNULL:!eNULL")
    known = {suite["name"] for suite in every.get_ciphers()}
    chosen = []
    for index, name in enumerate(names):
        if name in _TLS_1_3_SUITES:
            continue
        suite = _GO_SUITES.get(name, name)
        if suite not in known:
            hint = "write names such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or ECDHE-RSA-AES128-GCM-SHA256"
            raise TlsFileError(
                f"cipher_suites[{index}]", f"{name!r} is not a cipher suite of this OpenSSL", hint
            )
        chosen.append(suite)
    if chosen:
        context.set_ciphers(":".join(chosen))
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_3


def _set_client_auth(context: ssl.SSLContext, config: TlsConfig, remarks: list[TlsRemark]) -> list[bytes]:
    """Ask clients for certificates as ``client_auth`` says; what is given is always verified.

    Adds to ``remarks``. The authorities that are used, as DER.
    """
    mode, ca_file = config.client_auth, config.ca_file
    if mode is ClientAuth.NONE:
        if ca_file:
            hint = "set client_auth: verify to let only clients with a certificate in"
            remarks.append(TlsRemark("ca_file", "has no effect: client_auth is none", hint))
        return []
    if not ca_file:
        hint = "set it to the certificates of the authorities of your clients, PEM"
        if mode is not ClientAuth.REQUEST:
            raise TlsFileError("ca_file", f"is not set, and client_auth is {mode}", hint)
        remarks.append(TlsRemark("ca_file", "is not set, so clients are not asked for certificates", hint))
        return []
    data, _ = _read(ca_file, "ca_file")
    certificates = _certificates(data, ca_file, "ca_file")
    try:
        context.load_verify_locations(cadata=b"".join(certificates))
    except ssl.SSLError as error:
        raise TlsFileError(
            "ca_file", f"{ca_file} has a damaged certificate", "copy it again, whole"
        ) from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_OPTIONAL if mode is ClientAuth.REQUEST else ssl.CERT_REQUIRED
    if len(certificates) > 1:
        message = f"{ca_file} has {len(certificates)} certificates; clients of each of them are let in"
        remarks.append(TlsRemark("ca_file", message, "remove those that are not meant", harmful=False))
    return certificates


def _set_revoked(
    context: ssl.SSLContext, config: TlsConfig, authorities: list[bytes], remarks: list[TlsRemark]
) -> list[RevocationList]:
    """Refuse the client certificates that the lists of ``crl_file`` name. Adds to ``remarks``."""
    path = config.crl_file
    if not path:
        return []
    if not authorities:
        hint = "set client_auth: verify and ca_file, or remove it"
        remarks.append(TlsRemark("crl_file", "has no effect: clients need no certificate", hint))
        return []
    data, _ = _read(path, "crl_file")
    if b"CERTIFICATE-----" in data:
        hint = "keep the lists alone in it, and put certificates of authorities into ca_file"
        raise TlsFileError("crl_file", f"{path} has a certificate, which would be trusted", hint)
    found = _parts(_CRL, data, path, "crl_file", "list")
    if not found:
        hint = f"convert it: {_CONVERT_CRL}"
        raise TlsFileError("crl_file", f"{path} has no list of revoked certificates in PEM", hint)
    try:
        lists = [RevocationList.of(der) for der in found]
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, IndexError, ValueError) as error:
        raise TlsFileError("crl_file", f"{path} has a damaged list", "copy it again, whole") from error
    except OSError as error:
        raise TlsFileError("crl_file", f"{path}: {error.strerror}", "check the file") from error
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    issuers = {one.issuer for one in lists}
    missing = sum(_subject(one) not in issuers for one in authorities)
    if missing:
        of = f"{missing} of {len(authorities)} authorities of ca_file"
        message = f"{path} has no list of {of}, whose clients are refused"
        hint = "add the list of each authority, also when it is empty"
        remarks.append(TlsRemark("crl_file", message, hint, harmful=missing == len(authorities)))
    return lists


def _expiring(certificates: list[bytes], path: str, key: str) -> tuple[ExpiringCertificate, ...]:
    found = map(_validity, certificates)
    return tuple(ExpiringCertificate(key, path, *one) for one in found if one is not None)


def _day(unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(unix))


def _validity(der: bytes) -> tuple[int, int] | None:
    """The times between which a certificate is valid (RFC 5280 4.1); None when it cannot be read.

    The ssl module tells this only for certificates of peers and authorities.
    """
    try:
        at, _ = _element(der, 0)  # Certificate
        at, _ = _element(der, at)  # TBSCertificate
        if der[at] == 0xA0:  # the version, which may be absent
            at = _element(der, at)[1]
        for _ in range(3):  # serial number, algorithm, issuer
            at = _element(der, at)[1]
        first, _ = _element(der, at)
        begin, second = _element(der, first)
        end, after = _element(der, second)
        return _time(der[first], der[begin:second]), _time(der[second], der[end:after])
    except (IndexError, ValueError):
        return None


class RevocationList(NamedTuple):
    """A list of revoked certificates (RFC 5280 5.1): whose it is, and when it is valid, in Unix seconds."""

    der: bytes
    issuer: bytes
    begins_unix: int
    ends_unix: int

    @classmethod
    def of(cls, der: bytes) -> Self:
        """Raises IndexError and ValueError for one that cannot be read."""
        at, _ = _element(der, 0)  # CertificateList
        at, _ = _element(der, at)  # TBSCertList
        if der[at] == 0x02:  # the version, which may be absent
            at = _element(der, at)[1]
        issuer_at = _element(der, at)[1]  # behind the algorithm
        first = _element(der, issuer_at)[1]
        begin, second = _element(der, first)
        begins = _time(der[first], der[begin:second])
        if der[second] in (0x17, 0x18):  # the next update, without which it holds for ever
            end, after = _element(der, second)
            ends = _time(der[second], der[end:after])
        else:
            ends = _NEVER_UNIX
        return cls(der, der[issuer_at:first], begins, ends)


def _subject(der: bytes) -> bytes:
    """Whom a certificate is for; empty when it cannot be read."""
    try:
        at, _ = _element(der, _element(der, 0)[0])
        if der[at] == 0xA0:
            at = _element(der, at)[1]
        for _ in range(4):  # serial number, algorithm, issuer, validity
            at = _element(der, at)[1]
        return der[at : _element(der, at)[1]]
    except (IndexError, ValueError):
        return b""


def _element(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER element at ``at`` begins, and where it ends."""
    length = der[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    if at + length > len(der):
        raise ValueError("cut off")
    return at, at + length


def _time(tag: int, text: bytes) -> int:
    """A UTCTime or GeneralizedTime."""
    digits = text.decode("ascii").rstrip("Z")
    if tag == 0x17:
        digits = ("19" if digits >= "50" else "20") + digits
    return timegm(time.strptime(digits, "%Y%m%d%H%M%S"))
