"""The patterns that have names: what they find, and what they leave."""

from __future__ import annotations

import pytest

from cbox_init.patterns.builtin import BUILTIN_PATTERNS, builtin_patterns
from cbox_init.patterns.compile import compiled
from tests.logs.stages.helpers import run

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.mark.parametrize(
    ("name", "line", "masked"),
    [
        ("bearer_token", "Authorization: Bearer abc.DEF-123_~+/== x", "Authorization: Bearer *** x"),
        ("bearer_token", "authorization: bearer abcdefgh", "authorization: bearer ***"),
        ("bearer_token", '{"Authorization":"Basic dXNlcjpwdw=="}', '{"Authorization":"Basic ***"}'),
        ("bearer_token", "the bearer of news", "the bearer of news"),
        ("aws_key", "id AKIAIOSFODNN7EXAMPLE.", "id ***."),
        ("aws_key", "AKIATOOSHORT", "AKIATOOSHORT"),
        (
            "aws_key",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY x",
            "aws_secret_access_key = *** x",
        ),
        ("aws_key", '"AWS_SESSION_TOKEN":"abcdefghijklmnopqrstuvwx"', '"AWS_SESSION_TOKEN":"***"'),
        ("jwt", f"token {JWT} x", "token *** x"),
        ("jwt", "eyJ is how they begin", "eyJ is how they begin"),
        ("credit_card", "4111111111111111", "***"),
        ("credit_card", "paid 4111 1111 1111 1111.", "paid ***."),
        ("credit_card", "378282246310005 5555-5555-5555-4444", "*** ***"),
        ("credit_card", "4111111111111112", "4111111111111112"),  # the check digit is wrong
        ("credit_card", "x4111111111111111 41111111111111111111", "x4111111111111111 41111111111111111111"),
        ("credit_card", "2026-11-24 10:00:00 1795511283778", "2026-11-24 10:00:00 1795511283778"),
        ("email", "to ann.o'b+x@mail.example.co.uk, ok", "to ann.o'***, ok"),
        ("email", "user@localhost a@b @handle", "user@localhost a@b @handle"),
        ("url_password", "postgres://app:s3cr%40t@db/x", "postgres://app:***@db/x"),
        ("url_password", r'"dsn":"redis:\/\/:secret@redis:6379"', r'"dsn":"redis:\/\/:***@redis:6379"'),
        ("url_password", "http://host:8080/a?b=c@d", "http://host:8080/a?b=c@d"),
        ("url_password", "GET /?a=1&password=x%20y&b=2#t", "GET /?a=1&password=***&b=2#t"),
        ("url_password", "GET /?API_KEY=abc HTTP/1.1", "GET /?API_KEY=*** HTTP/1.1"),
        ("github_token", "ghp_0123456789abcdefghijABCDEFGHIJ012345", "***"),
        ("github_token", "github_pat_0123456789abcdefghij_x", "***"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\\nMIIE", "-----BEGIN PRIVATE KEY-----***"),
    ],
)
def test_what_is_masked(name: str, line: str, masked: str) -> None:
    (found,) = run({"redaction": {"enabled": True, "patterns": [name]}}, line)
    assert found.message == masked


@pytest.mark.parametrize("name", ["Bearer", "AWS keys", "card-number", "E-mail", "url_passwords", "JWT"])
def test_other_names_for_the_same(name: str) -> None:
    assert builtin_patterns(name) is not None


def test_no_other_name() -> None:
    assert builtin_patterns("bearer_tokn") is None
    assert builtin_patterns("") is None


@pytest.mark.parametrize("name", BUILTIN_PATTERNS)
def test_no_line_takes_long(name: str) -> None:
    """Each ends on what is worst for it: many beginnings of a match that never comes."""
    texts = ["4 1" * 8000, "a" * 64_000, "a.b@" * 16_000, "://a:" * 12_000, "Bearer " * 9000]
    for one in BUILTIN_PATTERNS[name]:
        pattern = compiled(one.pattern)
        for text in texts:
            pattern.lines.sub("", text)
