"""What check-config says about certificates and keys: one clear line each."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.load import examine
from cbox_init.config.problems import Severity
from cbox_init.machine import check_machine
from tests.supervisor.health.certificates import Authority, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.config.problems import Problem
    from tests.supervisor.health.certificates import Certificate


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Valid for long."""
    made = make_certificate(tmp_path, "localhost")
    renew(made, 90)
    return made


def renew(certificate: Certificate, days: int) -> None:
    """The same key with another time of validity; negative: expired that many days ago."""
    now = datetime.now(UTC)
    ends = now + timedelta(days=days, hours=1)
    begins = min(now, ends) - timedelta(days=1)
    folder = certificate.cert.parent
    (folder / "index").write_text("")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index\nnew_certs_dir={folder}\nrand_serial=yes\n"
        "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    request = folder / "request.pem"
    subject = ["-key", str(certificate.key), "-subj", "/CN=localhost", "-out", str(request)]
    subprocess.run(["openssl", "req", "-new", *subject], check=True, capture_output=True)
    times = ["-startdate", f"{begins:%Y%m%d%H%M%SZ}", "-enddate", f"{ends:%Y%m%d%H%M%SZ}"]
    files = ["-in", str(request), "-keyfile", str(certificate.key), "-out", str(certificate.cert)]
    subprocess.run(
        [
            "openssl",
            "ca",
            "-batch",
            "-notext",
            "-selfsign",
            "-config",
            str(folder / "ca.cnf"),
            *files,
            *times,
        ],
        check=True,
        capture_output=True,
    )


def problems(certificate: Certificate, **keys: object) -> list[Problem]:
    """What check-config says about TLS."""
    file = certificate.cert.parent / "cbox-init.yaml"
    keys = {"enabled": "true", "cert_file": certificate.cert, "key_file": certificate.key, **keys}
    section = ", ".join(f"{key}: {value}" for key, value in keys.items() if value is not None)
    settings = f"api_enabled: true, api_auth: {'x' * 32}, api_tls: {{{section}}}"
    file.write_text(f"global: {{{settings}}}\nprocesses: {{web: {{command: ['true']}}}}\n")
    return list(examine(str(file), {}, machine=check_machine).problems)


@pytest.mark.parametrize("rsa", [False, True])
def test_a_pair_that_fits(tmp_path: Path, rsa: bool) -> None:
    certificate = make_certificate(tmp_path, "localhost", rsa=rsa)
    renew(certificate, 90)
    assert problems(certificate) == []
    assert problems(certificate, client_auth="verify", ca_file=certificate.cert) == []


def test_a_key_of_another_certificate(certificate: Certificate, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "other")
    (problem,) = problems(certificate, key_file=other.key)
    assert (problem.field, problem.severity) == ("global.api_tls.key_file", Severity.ERROR)
    assert problem.message == f"{other.key} does not fit the certificate in {certificate.cert}"


@pytest.mark.parametrize(("days", "message"), [(10, "in 10 days"), (-3, "expired on ")])
def test_a_certificate_that_expires(certificate: Certificate, days: int, message: str) -> None:
    renew(certificate, days)
    (problem,) = problems(certificate)
    assert (problem.field, problem.severity) == ("global.api_tls.cert_file", Severity.WARNING)
    assert message in problem.message
    assert problem.recommendation == "renew it"


def test_a_key_that_others_can_read(certificate: Certificate) -> None:
    certificate.key.chmod(0o644)
    (problem,) = problems(certificate)
    assert problem.severity is Severity.WARNING
    assert problem.message == f"{certificate.key} can be read by every user"


def test_an_encrypted_key(certificate: Certificate) -> None:
    for more in ([], ["-traditional"]):
        locked = certificate.key.with_name("locked")
        files = ["-in", str(certificate.key), "-out", str(locked)]
        subprocess.run(
            ["openssl", "pkey", "-aes128", "-passout", "pass:secret", *more, *files],
            check=True,
            capture_output=True,
        )
        (problem,) = problems(certificate, key_file=locked)
        assert problem.message == f"{locked} is encrypted, which is not supported"
        assert problem.recommendation.startswith("decrypt it: openssl pkey")


def test_two_authorities(certificate: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.cert.read_bytes() * 2)
    (problem,) = problems(certificate, client_auth="verify", ca_file=both)
    assert (problem.field, problem.severity) == ("global.api_tls.ca_file", Severity.SUGGESTION)
    assert problem.message == f"{both} has 2 certificates; clients of each of them are let in"


def test_files_the_wrong_way_round(certificate: Certificate) -> None:
    (problem,) = problems(certificate, cert_file=certificate.key, key_file=certificate.cert)
    assert problem.recommendation == "swap cert_file and key_file"


@pytest.mark.parametrize(
    ("keys", "field", "message", "severity"),
    [
        ({"cert_file": None}, "cert_file", "is not set", Severity.ERROR),
        ({"key_file": None}, "key_file", "is not set", Severity.ERROR),
        ({"key_file": "/nowhere/key.pem"}, "key_file", "/nowhere/key.pem does not exist", Severity.WARNING),
        ({"cert_file": "/"}, "cert_file", "/ is not a file", Severity.ERROR),
        ({"cert_file": "/dev/zero"}, "cert_file", "/dev/zero is not a file", Severity.ERROR),
        ({"client_auth": "require"}, "ca_file", "is not set, and client_auth is require", Severity.ERROR),
        ({"client_auth": "request"}, "ca_file", "is not set, so clients are not asked", Severity.WARNING),
        ({"ca_file": "/x"}, "ca_file", "has no effect: client_auth is none", Severity.WARNING),
        (
            {"cipher_suites": "[TLS_AES_128_GCM_SHA256, 'ALL:eNULL']"},
            "cipher_suites[1]",
            "'ALL:eNULL' is not a cipher suite",
            Severity.ERROR,
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    certificate: Certificate, keys: dict[str, object], field: str, message: str, severity: Severity
) -> None:
    (problem,) = problems(certificate, **keys)
    assert (problem.field, problem.severity) == (f"global.api_tls.{field}", severity)
    assert problem.message.startswith(message)
    assert problem.recommendation


@pytest.mark.parametrize("cut", [0, 40, 100, 200])
def test_files_that_are_cut_off(certificate: Certificate, cut: int) -> None:
    for path in certificate:
        whole = path.read_bytes()
        path.write_bytes(whole[:cut])
        (problem,) = problems(certificate)
        assert problem.severity is Severity.ERROR
        path.write_bytes(whole)


def test_a_list_of_revoked_certificates(certificate: Certificate, tmp_path: Path) -> None:
    authority, crl = Authority(tmp_path, "clients"), tmp_path / "clients.crl"
    authority.write_list(crl)
    keys = {"ca_file": authority.cert, "client_auth": "verify", "crl_file": crl}
    assert of_the_list(certificate, keys) == []
    old = ("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z")
    early = ("-crl_lastupdate", "20990101000000Z", "-crl_nextupdate", "20990201000000Z")
    for times, words in (
        (old, "expired on 2020-02-01 00:00 UTC, so clients are refused"),
        (("-crlhours", "5"), "expires on"),
        (early, "is valid only from"),
    ):
        authority.write_list(crl, *times)
        (problem,) = of_the_list(certificate, keys)
        assert problem.severity is Severity.WARNING
        assert words in problem.message


def of_the_list(certificate: Certificate, keys: dict[str, object]) -> list[Problem]:
    return [one for one in problems(certificate, **keys) if one.field.endswith("crl_file")]


@pytest.mark.parametrize(
    ("case", "severity", "words"),
    [
        ("none", Severity.WARNING, "does not exist"),
        ("text", Severity.ERROR, "has no list of revoked certificates in PEM"),
        ("cut", Severity.ERROR, "has a damaged list"),
        ("certificate", Severity.ERROR, "has a certificate, which would be trusted"),
        ("of another", Severity.WARNING, "has no list of 1 of 1 authorities"),
        ("of one of two", Severity.SUGGESTION, "has no list of 1 of 2 authorities"),
        ("no use", Severity.WARNING, "has no effect"),
    ],
)
def test_lists_that_are_wrong(
    certificate: Certificate, tmp_path: Path, case: str, severity: Severity, words: str
) -> None:
    authority, other = Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    crl, both = tmp_path / "clients.crl", tmp_path / "ca.pem"
    authority.write_list(crl)
    both.write_bytes(authority.cert.read_bytes() + other.cert.read_bytes())
    keys: dict[str, object] = {"ca_file": authority.cert, "client_auth": "verify", "crl_file": crl}
    match case:
        case "none":
            crl.unlink()
        case "text":
            crl.write_text("revoke all")
        case "cut":
            first, *lines, last = crl.read_text().splitlines()
            crl.write_text("\n".join([first, *lines[:2], last]))
        case "certificate":
            crl.write_bytes(crl.read_bytes() + other.cert.read_bytes())
        case "of another":
            other.write_list(crl)
        case "of one of two":
            keys["ca_file"] = both
        case "no use":
            keys = {"crl_file": crl}
    (problem,) = of_the_list(certificate, keys)
    assert problem.severity is severity
    assert words in problem.message
    assert problem.recommendation
