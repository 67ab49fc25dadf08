"""Tokens and roles in a file: what is wrong with them, in one line each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.config import api_roles
from cbox_init.config.api_roles import check_token_files, check_token_hashes, expiry_of, subject_parts
from cbox_init.config.load import examine
from cbox_init.config.model import ApiTokenConfig, GlobalConfig, Role, Secret
from cbox_init.config.problems import ProblemReport, Severity
from cbox_init.config.token_hash import TokenHash, new_token
from cbox_init.machine import check_machine
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import Read

LONG = "a-token-that-is-long-enough"
HASH = "scrypt:16:8:1:c2FsdHNhbHRzYWx0:aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"


def with_tokens(*tokens: str, more: str = "") -> str:
    return f"{{global: {{api_tokens: [{', '.join(tokens)}]{more}}}, processes: {{web: {{command: a}}}}}}"


def token(**keys: object) -> str:
    given = {"name": "deploy", "role": "viewer", "token": LONG, **keys}
    return "{" + ", ".join(f"{key}: {value}" for key, value in given.items() if value is not None) + "}"


@pytest.mark.parametrize(
    ("tokens", "field", "message"),
    [
        ([token(role="root")], "[0].role", "expected viewer, operator or admin, got 'root'"),
        ([token(role=None)], "[0].role", "is not set"),
        ([token(name=None)], "[0].name", "is not set"),
        ([token(name="'a b'")], "[0].name", "'a b' is not a name of a token"),
        ([token(name="api_auth")], "[0].name", "api_auth is also the name of the token of api_auth"),
        (
            [token(), token(token="another-long-token")],
            "[1].name",
            "deploy is also the name of api_tokens[0]",
        ),
        ([token(), token(name="b")], "[1].token", "is the same token as that of api_tokens[0]"),
        ([token(token="'  '")], "[0].token", "is empty"),
        ([token(token="''")], "[0]", "has no token"),
        ([token(token="'${NOT_SET}'")], "[0]", "has no token"),
        ([token(token=None)], "[0]", "has no token"),
        ([token(token_file="/t")], "[0].token_file", "token and token_file are both set"),
        ([token(token_env="HOME")], "[0].token_env", "token and token_env are both set"),
        ([token(token=None, token_env="NOT_SET")], "[0].token_env", "the variable NOT_SET is not set"),
        ([token(token='"two\\nlines"')], "[0].token", "has characters that an HTTP header cannot carry"),
        ([token(token="x" * 1025)], "[0].token", "has more than 1024 characters"),
        ([token(token=None, hash="nonsense")], "[0].hash", "is not a hash of a token: it is not scrypt:"),
        ([token(expires="tomorrow")], "[0].expires", "'tomorrow' is not a date"),
        ([token(expires="2027-02-30")], "[0].expires", "'2027-02-30' is not a date"),
        ([token(role="admin", processes="[web]")], "[0].processes", "has no effect on an admin"),
        ([token(processes="['']")], "[0].processes[0]", "is empty"),
        (["viewer"], "[0]", "expected a mapping of keys"),
    ],
)
def test_errors(read: Read, tokens: list[str], field: str, message: str) -> None:
    error = the_error(read(with_tokens(*tokens)))
    assert error.field == f"global.api_tokens{field}"
    assert error.message.startswith(message)
    assert error.recommendation
    assert error.line == 1
    assert LONG not in str(error)


def test_the_same_token_as_api_auth(read: Read) -> None:
    error = the_error(read(with_tokens(token(), more=f", api_auth: {LONG}")))
    assert error.message == "is the same token as that of api_auth"


def test_the_same_hash_twice(read: Read) -> None:
    one, two = token(token=None, hash=repr(HASH)), token(name="b", token=None, hash=repr(f" {HASH}"))
    assert the_error(read(with_tokens(one, two))).field == "global.api_tokens[1].hash"


def test_too_many_hashes(read: Read) -> None:
    def entries(count: int) -> list[str]:
        return [token(name=f"t{one}", token=None, hash=repr(_hash(one))) for one in range(count)]

    assert read(with_tokens(*entries(32))).valid
    error = the_error(read(with_tokens(*entries(33))))
    assert (error.field, error.message[:23]) == ("global.api_tokens", "has more than 32 hashes")


def _hash(number: int) -> str:
    return HASH.replace("c2Fsd", f"c2F{number:02}")


@pytest.mark.parametrize(
    ("keys", "field", "severity"),
    [
        ({"expires": "2020-01-01"}, "expires", Severity.WARNING),
        ({"token": "short"}, "token", Severity.SUGGESTION),
        ({"processes": "[no-such-process]"}, "processes[0]", Severity.SUGGESTION),
        ({"token": f"'Bearer {LONG}'"}, "token", Severity.WARNING),
    ],
)
def test_warnings(read: Read, keys: dict[str, object], field: str, severity: Severity) -> None:
    found = read(with_tokens(token(**keys)))
    assert found.valid
    assert fields(found, severity) == [f"global.api_tokens[0].{field}"]


def test_a_token_that_expires_soon(read: Read) -> None:
    soon = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 10 * 86400))
    found = read(with_tokens(token(expires=soon)))
    assert fields(found, Severity.SUGGESTION) == ["global.api_tokens[0].expires"]


def test_what_is_not_part_of_a_token(read: Read) -> None:
    given = [token(token='" a-token-with-a-line-end\\n"'), token(name="b", token=None, token_env="T")]
    config = config_of(read(with_tokens(*given), {"T": f"Bearer {LONG}\r\n"}))
    texts = [one.token.reveal() for one in config.global_.api_tokens if one.token]
    assert texts == ["a-token-with-a-line-end", LONG]


def test_a_variable_of_the_environment_with_all_tokens(read: Read) -> None:
    environ = {"CBOX_INIT_GLOBAL_API_TOKENS": f'[{{"name": "a", "role": "viewer", "token": "{LONG}"}}]'}
    (one,) = config_of(read("{processes: {web: {command: a}}}", environ)).global_.api_tokens
    assert one.token is not None and one.token.reveal() == LONG


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        (
            "api_certificate_roles: [{role: viewer}]",
            "api_certificate_roles[0]",
            "names neither subject nor san",
        ),
        ("api_certificate_roles: [{subject: x}]", "api_certificate_roles[0].role", "is not set"),
        (
            "api_certificate_roles: [{subject: x, role: viewer}]",
            "api_certificate_roles[0].subject",
            "'x' is not a subject",
        ),
        ("api_socket_roles: [{role: viewer}]", "api_socket_roles[0]", "names neither user nor group"),
        ("api_socket_roles: [{user: 0}]", "api_socket_roles[0].role", "is not set"),
        ("api_socket_mode: 999", "api_socket_mode", "expected an octal number"),
    ],
)
def test_roles(read: Read, keys: str, field: str, message: str) -> None:
    found = read(f"{{global: {{{keys}}}, processes: {{web: {{command: a}}}}}}")
    error = next(one for one in found.of(Severity.ERROR) if one.field == f"global.{field}")
    assert error.message.startswith(message)


def test_uid_is_not_a_key_but_user_is(read: Read) -> None:
    found = read("{global: {api_socket_roles: [{uid: 0, role: viewer}]}, processes: {web: {command: a}}}")
    (warning,) = found.of(Severity.WARNING)
    assert warning.recommendation == "write user"


@pytest.mark.parametrize(
    ("keys", "field", "words"),
    [
        ("api_enabled: true", "api_enabled", "requests that change the configuration get 403"),
        (
            "api_enabled: true, api_insecure: true",
            "api_insecure",
            "anyone who reaches this port could run any command",
        ),
        ('api_socket_mode: "0666"', "api_socket_mode", "every user can open the socket"),
        (
            "api_certificate_roles: [{subject: CN=a, role: viewer}]",
            "api_certificate_roles",
            "has no effect: clients are not asked",
        ),
    ],
)
def test_warnings_about_what_is_open(read: Read, keys: str, field: str, words: str) -> None:
    found = read(f"{{global: {{{keys}}}, processes: {{web: {{command: a}}}}}}")
    (warning,) = found.of(Severity.WARNING)
    assert (warning.field, words in warning.message) == (f"global.{field}", True)


@pytest.mark.parametrize(
    "keys",
    [
        "api_enabled: true, api_host: 127.0.0.1",
        f"api_enabled: true, api_auth: {LONG}",
        f"api_enabled: true, api_tokens: [{token()}]",
        "api_enabled: true, api_tls: {enabled: true, client_auth: verify, cert_file: a, ca_file: c}",
        'api_socket_mode: "0666", api_socket_roles: [{user: 0, role: admin}]',
    ],
)
def test_no_warning_where_nothing_is_open(read: Read, keys: str) -> None:
    found = read(f"{{global: {{{keys}}}, processes: {{web: {{command: a}}}}}}")
    assert found.problems == ()


# -- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xff", "is not text"),
        (b"x" * 20_000, "is larger than 16 KiB"),
        (b"two words\x07\n", "a token has characters that an HTTP header cannot carry"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_warning(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    report = ProblemReport()
    check_token_files(GlobalConfig(api_tokens=(api_token(str(file)),)), report)
    (problem,) = report.problems()
    assert (problem.severity, problem.field) == (Severity.WARNING, "global.api_tokens[0].token_file")
    assert message in problem.message
    assert problem.message.endswith("; requests with this token get 401")


@pytest.mark.parametrize(
    ("mode", "content", "words"),
    [
        (0o600, LONG, None),
        (0o644, LONG, "can be read by every user"),
        (0o600, f"{LONG}\n{LONG}\n", None),
        (0o600, "short", "is short enough to be guessed"),
    ],
)
def test_a_file_that_can_be_used(tmp_path: Path, mode: int, content: str, words: str | None) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(mode)
    report = ProblemReport()
    check_token_files(GlobalConfig(api_tokens=(api_token(str(file)),)), report)
    if words is None:
        assert report.problems() == ()
    else:
        (problem,) = report.problems()
        assert words in problem.message


@pytest.mark.parametrize("source", ["api_auth", "token", "token_file"])
def test_a_token_and_its_hash(tmp_path: Path, source: str) -> None:
    (tmp_path / "token").write_text(f"another-token\n{LONG}\n")
    tokens = [ApiTokenConfig(name="hashed", role=Role.VIEWER, hash=Secret(str(TokenHash.of(LONG))))]
    if source == "token":
        tokens.append(ApiTokenConfig(name="text", role=Role.VIEWER, token=Secret(LONG)))
    elif source == "token_file":
        tokens.append(api_token(str(tmp_path / "token")))
    settings = GlobalConfig(
        api_tokens=tuple(tokens), api_auth=Secret(LONG if source == "api_auth" else "another-long-token")
    )
    report = ProblemReport()
    check_token_hashes(settings, check_token_files(settings, ProblemReport()), report)
    (problem,) = report.problems()
    assert (problem.severity, problem.field) == (Severity.WARNING, "global.api_tokens[0].hash")
    place = "api_auth" if source == "api_auth" else "api_tokens[1]"
    assert problem.message == f"is the same token as that of {place}, which counts"


def test_a_hash_that_is_none_is_reported_once(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(with_tokens(token(token=None, hash="nonsense")))
    problems = examine(str(file), {}, machine=check_machine).problems
    (error,) = (one for one in problems if one.severity is Severity.ERROR)
    assert error.field == "global.api_tokens[0].hash"


def test_comparing_tokens_with_hashes_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def verify(self: TokenHash, token: bytes) -> bool:
        compared.append(token)
        return False

    monkeypatch.setattr(TokenHash, "verify", verify)
    monkeypatch.setattr(api_roles, "_MOST_HASH_WORK", 50 * TokenHash.parse(HASH).work)
    settings = GlobalConfig(
        api_tokens=tuple(
            ApiTokenConfig(name=f"t{number}", role=Role.VIEWER, hash=Secret(_hash(number)))
            for number in range(30)
        )
    )
    report = ProblemReport()
    check_token_hashes(settings, {f"token-{number}": "x" for number in range(100)}, report)
    (problem,) = report.problems()
    assert problem.severity is Severity.SUGGESTION
    assert len(compared) == 50


def api_token(path: str) -> ApiTokenConfig:
    return ApiTokenConfig(name="deploy", role=Role.VIEWER, token_file=path)


# -- values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("2027-01-31", 1801440000.0),  # the end of that day
        ("2027-01-31T00:00:00Z", 1801353600.0),
        ("2027-01-31T01:00:00+01:00", 1801353600.0),
        (" 2027-01-31 00:00:00 ", 1801353600.0),
        ("9999-12-31", 253402214400.0),
    ],
)
def test_when_a_token_expires(text: str, unix: float) -> None:
    assert expiry_of(text) == unix


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("CN=deploy", {"CN=deploy"}),
        (" CN = deploy , O=Example ", {"CN=deploy", "O=Example"}),
        (r"CN=a\, b,O=c", {"CN=a, b", "O=c"}),
        ("CN=a=b", {"CN=a=b"}),
    ],
)
def test_parts_of_a_subject(text: str, parts: set[str]) -> None:
    assert subject_parts(text) == parts


@pytest.mark.parametrize("text", ["", "deploy", "CN=", "=x", "CN=a,,O=b"])
def test_what_is_no_subject(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        subject_parts(text)


def test_a_hash_is_that_of_its_token_alone() -> None:
    token_ = new_token()
    made = TokenHash.of(token_)
    assert TokenHash.parse(str(made)) == made
    assert made.verify(token_.encode())
    assert not made.verify(token_.encode() + b"x")
    assert str(TokenHash.of(token_)) != str(made)
    assert "$" not in str(made)


def test_new_tokens_differ_and_fit_into_a_header() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(one.startswith("cbox_") and one.isascii() and len(one) == 48 for one in made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "scrypt",
        "bcrypt:16384:8:1:c2FsdHNhbHRzYWx0:aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        HASH.replace(":16:", ":17:"),
        HASH.replace(":16:", ":0:"),
        HASH.replace(":16:8:", ":65536:1:"),  # OpenSSL would refuse it for each token
        HASH.replace(":16:", ":-16:"),
        HASH.replace(":16:", ":1048576:"),  # a GiB of memory
        HASH.replace(":16:", ":99999999999999999999:"),
        HASH.replace(":8:", ":0:"),
        HASH.replace(":8:1:", ":8:5:"),
        HASH.replace("c2FsdHNhbHRzYWx0", "c2Fs"),
        HASH.replace("c2FsdHNhbHRzYWx0", "c2Fsd$NhbHRzYWx0"),
        HASH.rpartition(":")[0] + ":aGFzaA",
        HASH + ":more",
        HASH[:-1] + "\N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
def test_what_is_no_hash(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(it|N|its) "):
        TokenHash.parse(text)
