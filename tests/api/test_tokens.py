"""Tokens of `api_tokens`: hashes, files, variables, their end, their rotation, and guesses."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.api import tokens as module
from cbox_init.api.guards import NotVerifiedError
from cbox_init.api.tokens import ADDRESS_BURST, HASH_BURST, Tokens
from cbox_init.config.model import ApiTokenConfig, Role, Secret
from cbox_init.config.token_hash import TokenHash

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.api.service import Serve, Service

PROCESSES = "/api/v1/processes"
TOKEN = "cbox_a-token-that-nobody-guesses"
# With few rounds, so that the tests take no time.
N, R, P = 16, 8, 1


def quick_hash(token: str) -> str:
    from hashlib import scrypt

    salt = os.urandom(16)
    return str(TokenHash(N, R, P, salt, scrypt(token.encode(), salt=salt, n=N, r=R, p=P, dklen=32)))


def entry(name: str = "deploy", role: str = "viewer", **keys: object) -> str:
    given = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"{{name: {name}, role: {role}{given}}}"


async def status(service: Service, token: str) -> int:
    reply = await service.tcp.get(PROCESSES, headers={"Authorization": f"Bearer {token}"})
    return reply.status_code


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            if await ask():
                return
            await asyncio.sleep(0.02)


# -- where a token comes from -------------------------------------------------------------------------------


async def test_a_token_in_the_file_beside_api_auth(serve: Serve) -> None:
    service = await serve(api_auth="the-admin-token", api_tokens=f"[{entry(token=TOKEN)}]")
    assert await status(service, TOKEN) == 200
    assert await status(service, "the-admin-token") == 200
    assert await status(service, f"{TOKEN}x") == 401
    health = await service.tcp.get("/api/v1/health", headers={"Authorization": "Bearer nonsense"})
    assert health.status_code == 200


async def test_a_hash_of_a_token(serve: Serve) -> None:
    service = await serve(api_tokens=f"[{entry(hash=f'''{quick_hash(TOKEN)!r}''')}]")
    for _ in range(3):
        assert await status(service, TOKEN) == 200
    assert await status(service, "another") == 401


async def test_a_hash_as_the_command_makes_it(serve: Serve) -> None:
    service = await serve(api_tokens=f"[{entry(hash=f'''{str(TokenHash.of(TOKEN))!r}''')}]")
    assert await status(service, TOKEN) == 200


async def test_a_variable(serve: Serve) -> None:
    service = await serve(api_tokens=f"[{entry(token_env='DIR')}]")  # one that the tests' daemon has
    assert await status(service, str(service.house.file.parent)) == 200
    assert await status(service, "DIR") == 401


@pytest.mark.parametrize("content", ["{}", "{}\n", "{}\r\n", "\ufeff{}\n", "  {}  \n\n"])
async def test_a_file_with_a_line_end(serve: Serve, tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content.format(TOKEN), newline="")
    service = await serve(api_tokens=f"[{entry(token_file=tmp_path / 'token')}]")
    assert await status(service, TOKEN) == 200


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\n\n",
        b"\xff\xfe\x00",
        b"\n".join(b"%d" % one for one in range(10)),
        b"x" * 20_000,
        "fifo",
    ],
)
async def test_a_file_that_gives_no_token_opens_nothing(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | str | None
) -> None:
    monkeypatch.setattr(module, "TRY_AGAIN_S", 0.1)
    file = tmp_path / "token"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        os.mkfifo(file)
    service = await serve(api_tokens=f"[{entry(token_file=file)}]")
    for token in ("0", "None", TOKEN):
        assert await status(service, token) == 401
    assert (await service.tcp.get(PROCESSES)).status_code == 401
    said = [line for line in service.house.messages() if "global.api_tokens[0].token_file" in line]
    assert len(said) == 1
    assert said[0].startswith("A token of the API is refused until this is fixed: ")
    # It is there at last.
    if file.exists():
        file.unlink()
    (tmp_path / "new").write_text(TOKEN)
    (tmp_path / "new").rename(file)

    async def opens() -> bool:
        return await status(service, TOKEN) == 200

    await until(opens)


# -- rotation -----------------------------------------------------------------------------------------------


async def test_rotation_by_the_file(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("the-old-token\n")
    service = await serve(api_tokens=f"[{entry(token_file=file)}]")
    assert await status(service, "the-old-token") == 200

    async def both() -> tuple[int, int]:
        return await status(service, "the-old-token"), await status(service, "the-new-token")

    for content, wanted in (
        ("the-old-token\nthe-new-token\n", (200, 200)),
        ("the-new-token\n", (401, 200)),
        ("", (401, 401)),
    ):
        file.write_text(content)

        async def arrived(wanted: tuple[int, int] = wanted) -> bool:
            return await both() == wanted

        await until(arrived)


async def test_rotation_through_links_as_kubernetes_makes_them(serve: Serve, tmp_path: Path) -> None:
    for number, token in ((1, "the-old-token"), (2, "the-new-token")):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "token").write_text(token)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    service = await serve(api_tokens=f"[{entry(token_file=tmp_path / 'token')}]")
    assert await status(service, "the-old-token") == 200
    (tmp_path / "..next").symlink_to("..2")
    (tmp_path / "..next").rename(tmp_path / "..data")

    async def changed() -> bool:
        return await status(service, "the-new-token") == 200

    await until(changed)
    assert await status(service, "the-old-token") == 401


async def test_rotation_by_reload(serve: Serve) -> None:
    service = await serve(api_auth="the-admin-token", api_tokens=f"[{entry(token='the-old-token')}]")
    admin = {"Authorization": "Bearer the-admin-token"}
    file, first = service.house.file, entry(token="the-old-token")

    async def reload(tokens: str) -> dict[str, object]:
        text = file.read_text()
        line = next(line for line in text.splitlines() if "api_tokens" in line)
        file.write_text(text.replace(line, f"  api_tokens: {tokens}"))
        reply = await service.unix.post("/api/v1/config/reload", headers=admin)
        found: dict[str, object] = reply.json()
        assert reply.status_code == 200, found
        return found

    second = entry("next", token="the-new-token")
    assert (await reload(f"[{first}, {second}]"))["needs_restart"] == []
    assert [await status(service, f"the-{which}-token") for which in ("old", "new")] == [200, 200]
    await reload(f"[{second}]")
    assert [await status(service, f"the-{which}-token") for which in ("old", "new")] == [401, 200]
    # A token that loses its role loses it at once.
    restart = f"{PROCESSES}/web/restart"
    header = {"Authorization": "Bearer the-new-token"}
    assert (await service.tcp.post(restart, headers=header)).status_code == 403
    await reload(f"[{entry('next', 'operator', token='the-new-token')}]")
    assert (await service.tcp.post(restart, headers=header)).status_code == 202


async def test_a_reload_that_sets_the_first_token_shuts_the_port(serve: Serve) -> None:
    service = await serve(api_host="127.0.0.1")
    assert (await service.tcp.get(PROCESSES)).status_code == 200
    file = service.house.file
    file.write_text(file.read_text().replace("global:\n", f"global:\n  api_tokens: [{entry(token=TOKEN)}]\n"))
    assert (await service.tcp.post("/api/v1/config/reload")).status_code == 200
    assert (await service.tcp.get(PROCESSES)).status_code == 401
    assert await status(service, TOKEN) == 200


async def test_a_reload_with_a_bad_token_changes_nothing(serve: Serve) -> None:
    service = await serve(api_tokens=f"[{entry(token=TOKEN)}]")
    file = service.house.file
    file.write_text(file.read_text().replace("role: viewer", "role: root"))
    reply = await service.unix.post("/api/v1/config/reload")
    assert reply.status_code == 422
    assert "expected viewer, operator or admin, got 'root'" in reply.json()["details"][0]
    assert await status(service, TOKEN) == 200


async def reloaded(service: Service, old: str, new: str) -> None:
    file = service.house.file
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert (await service.unix.post("/api/v1/config/reload")).status_code == 200


@pytest.mark.parametrize("how", ["file", "reload", "role", "api_auth"])
async def test_a_stream_ends_when_its_token_is_taken_away(serve: Serve, tmp_path: Path, how: str) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    source = {"token_file": file} if how == "file" else {"token": TOKEN}
    if how == "api_auth":
        service = await serve(api_auth=TOKEN)
    else:
        service = await serve(api_tokens=f"[{entry(**source)}]")
    header = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        asyncio.timeout(20),
        service.tcp.stream("GET", "/api/v1/logs/stream", headers=header) as reply,
    ):
        lines = reply.aiter_lines()
        assert (await anext(lines)).startswith("retry:")
        if how == "file":
            file.write_text("another-token\n")
        elif how == "role":
            await reloaded(service, "role: viewer", "role: admin")
        else:
            await reloaded(service, TOKEN, "another-token")

        async def refused() -> bool:
            return how == "role" or await status(service, TOKEN) == 401

        await until(refused)
        assert (await service.unix.post(f"{PROCESSES}/web/restart")).status_code == 202  # lines are written
        async for line in lines:
            assert "ready" not in line


async def test_a_stream_goes_on_when_another_token_changes(serve: Serve) -> None:
    tokens = f"[{entry(hash=repr(quick_hash(TOKEN)))}, {entry('other', token='the-other-token')}]"
    service = await serve(api_tokens=tokens)
    async with (
        asyncio.timeout(20),
        service.tcp.stream(
            "GET", "/api/v1/logs/stream", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as reply,
    ):
        lines = reply.aiter_lines()
        assert (await anext(lines)).startswith("retry:")
        await reloaded(service, "the-other-token", "a-third-token")
        assert await status(service, "a-third-token") == 200
        assert (await service.unix.post(f"{PROCESSES}/web/restart")).status_code == 202
        async for line in lines:
            if "ready" in line:
                break


async def test_a_reload_computes_no_hash_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = f"[{entry(hash=repr(quick_hash(TOKEN)))}, {entry('other', token='the-other-token')}]"
    service = await serve(api_tokens=tokens)
    assert await status(service, TOKEN) == 200
    await reloaded(service, "the-other-token", "a-third-token")

    def forbidden(self: TokenHash, token: bytes) -> bool:
        raise AssertionError(token)

    monkeypatch.setattr(TokenHash, "verify", forbidden)
    assert await status(service, TOKEN) == 200


# -- the end of a token -------------------------------------------------------------------------------------


async def test_an_expired_token(serve: Serve) -> None:
    service = await serve(api_tokens=f"[{entry(token=TOKEN, expires='2020-01-01')}]")
    assert await status(service, TOKEN) == 401


@pytest.mark.parametrize("source", ["token", "hash"])
async def test_a_token_expires_while_it_is_used(service: Service, source: str) -> None:
    now = time.time()
    clock = [now]
    text = TOKEN if source == "token" else quick_hash(TOKEN)
    config = ApiTokenConfig(
        name="deploy",
        role=Role.VIEWER,
        expires="2100-01-01",
        token=Secret(text) if source == "token" else None,
        hash=Secret(text) if source == "hash" else None,
    )
    found = Tokens([config], service.house.logs.daemon, lambda: clock[0])
    assert (await found.find(TOKEN.encode(), "10.0.0.1")) is not None
    clock[0] = 4_102_531_200.0  # 2100-01-02
    assert (await found.find(TOKEN.encode(), "10.0.0.1")) is None
    assert found.find_at_once(TOKEN.encode()) is None


# -- guesses ------------------------------------------------------------------------------------------------


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes for the budget of guesses, whatever the machine's speed."""
    monkeypatch.setattr("cbox_init.api.tokens.monotonic", lambda: 1000.0)


def hashed(service: Service, *names: str) -> Tokens:
    configs = [
        ApiTokenConfig(name=name, role=Role.VIEWER, hash=Secret(quick_hash(f"{TOKEN}-{name}")))
        for name in names
    ]
    return Tokens(configs, service.house.logs.daemon)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The tokens that are compared with a hash, one after another."""
    found: list[bytes] = []
    whole = TokenHash.verify

    def counting(self: TokenHash, token: bytes) -> bool:
        found.append(token)
        return whole(self, token)

    monkeypatch.setattr(TokenHash, "verify", counting)
    return found


@pytest.mark.usefixtures("standing_clock")
async def test_guesses_are_few(service: Service, verified: list[bytes]) -> None:
    found = hashed(service, "a", "b")
    assert (await found.find(f"{TOKEN}-b".encode(), "10.0.0.1")) is not None
    refused = 0
    for number in range(50):
        try:
            assert await found.find(b"guess-%d" % number, "10.0.0.1") is None
        except NotVerifiedError as error:
            refused += 1
            assert (error.status, error.wait_s > 0) == (429, True)
    assert refused == 50 - (ADDRESS_BURST - 1)  # one was taken by the token that is right
    # One that was verified, and one that was refused already, need no work.
    before = len(verified)
    assert (await found.find(f"{TOKEN}-b".encode(), "10.0.0.1")) is not None
    assert (await found.find(b"guess-0", "10.0.0.1")) is None
    assert len(verified) == before


@pytest.mark.usefixtures("standing_clock")
async def test_all_addresses_together_have_a_budget(service: Service) -> None:
    found = hashed(service, "a")
    answers: list[int] = []
    for number in range(300):
        try:
            await found.find(b"guess-%d" % number, f"10.0.{number // 256}.{number % 256}")
            answers.append(401)
        except NotVerifiedError as error:
            answers.append(error.status)
    assert answers == [401] * HASH_BURST + [429] * (300 - HASH_BURST)


@pytest.mark.usefixtures("standing_clock")
async def test_guesses_over_http_get_429_with_a_time(serve: Serve) -> None:
    service = await serve(api_tokens=f"[{entry(hash=f'''{quick_hash(TOKEN)!r}''')}]")
    assert await status(service, TOKEN) == 200
    replies = [
        await service.tcp.get(PROCESSES, headers={"Authorization": f"Bearer guess-{number}"})
        for number in range(ADDRESS_BURST + 5)
    ]
    assert {reply.status_code for reply in replies} == {401, 429}
    last = next(reply for reply in replies if reply.status_code == 429)
    assert last.json() == {"error": "too many unknown tokens"}
    assert int(last.headers["retry-after"]) >= 1
    assert await status(service, TOKEN) == 200


async def test_the_loop_goes_on_while_a_hash_is_computed(service: Service) -> None:
    config = ApiTokenConfig(name="slow", role=Role.VIEWER, hash=Secret(str(TokenHash.of(TOKEN))))
    found = Tokens([config], service.house.logs.daemon)
    asked = asyncio.create_task(found.find(b"a-guess", "10.0.0.1"))
    turns = 0
    while not asked.done():
        await asyncio.sleep(0)
        turns += 1
    assert await asked is None
    assert turns > 10


async def test_two_requests_at_once_compute_once(service: Service, verified: list[bytes]) -> None:
    found = hashed(service, "a")
    token = f"{TOKEN}-a".encode()
    grants = await asyncio.gather(*(found.find(token, "10.0.0.1") for _ in range(5)))
    assert [grant and grant.name for grant in grants] == ["a"] * 5
    assert verified == [token]


async def test_too_long_a_token_is_not_hashed(service: Service) -> None:
    found = hashed(service, "a")
    for _ in range(50):
        assert await found.find(b"x" * 2000, "10.0.0.1") is None


async def test_without_a_thread_it_is_503(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    found = hashed(service, "a")
    monkeypatch.setattr(module, "in_thread", none_left)
    with pytest.raises(NotVerifiedError) as caught:
        await found.find(b"x", "10.0.0.1")
    assert caught.value.status == 503
