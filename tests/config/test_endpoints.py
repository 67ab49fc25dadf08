"""Addresses and URLs of health checks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.config.endpoints import Endpoint, Url, parse_address, parse_url


@pytest.mark.parametrize(
    ("text", "endpoint", "shown"),
    [
        ("db:5432", Endpoint("db", 5432), "db:5432"),
        (" 10.0.0.1:80 ", Endpoint("10.0.0.1", 80), "10.0.0.1:80"),
        ("[::1]:80", Endpoint("::1", 80), "[::1]:80"),
        (":9000", Endpoint("127.0.0.1", 9000), "127.0.0.1:9000"),
        ("9000", Endpoint("127.0.0.1", 9000), "127.0.0.1:9000"),
        ("tcp://db:5432", Endpoint("db", 5432), "db:5432"),
    ],
)
def test_addresses(text: str, endpoint: Endpoint, shown: str) -> None:
    assert parse_address(text) == endpoint
    assert str(endpoint) == shown


@pytest.mark.parametrize("text", ["", "db", "db:", "db:0", "db:65536", "db:http", "db:-1", "db:\u0663"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_address(text)


@pytest.mark.parametrize("text", ["::1:80", "a:1:2", "user@db:1", "[db:1", "a b:1"])
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://a", Url(False, Endpoint("a", 80), "a", "/")),
        ("HTTPS://a/", Url(True, Endpoint("a", 443), "a", "/")),
        ("http://a:81/b?c=d#e", Url(False, Endpoint("a", 81), "a:81", "/b?c=d")),
        ("http://a?b", Url(False, Endpoint("a", 80), "a", "/?b")),
        ("http://[::1]/x", Url(False, Endpoint("::1", 80), "[::1]", "/x")),
        ("http://[::1]:81/x", Url(False, Endpoint("::1", 81), "[::1]:81", "/x")),
        ("http://me:pw@a:81/", Url(False, Endpoint("a", 81), "a:81", "/", "me:pw")),
        ("http://a/ü", Url(False, Endpoint("a", 80), "a", "/%C3%BC")),
        ("http://bücher:81/", Url(False, Endpoint("xn--bcher-kva", 81), "xn--bcher-kva:81", "/")),
    ],
)
def test_urls(text: str, url: Url) -> None:
    assert parse_url(text) == url


def test_what_is_shown_holds_no_secrets() -> None:
    url = parse_url("http://me:secret@a/b?key=secret")
    assert url.shown == "http://a/b"
    assert str(url) == "http://a/b?key=secret"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "//a",
        "ftp://a",
        "http:/a",
        "http://",
        "http://:80",
        "http://a:x",
        "http://a b/",
        "http://a/\r\nX: y",
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError):
        parse_url(text)


@given(st.text(alphabet="ahtp:/@[]?#%1é .", max_size=20))
@settings(deadline=None)
def test_any_text_is_a_url_or_a_problem(text: str) -> None:
    for candidate in (text, f"http://{text}"):
        try:
            url = parse_url(candidate)
        except ValueError:
            continue
        assert url.target.isascii() and url.authority.isascii() and url.endpoint.host
        assert parse_url(str(url)).endpoint == url.endpoint
