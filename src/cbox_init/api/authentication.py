"""Finds out who sends a request: by its token, its certificate, or the process on the Unix socket.

What the caller may do is decided by the resource (`cbox_init.api.resource`). The keys of ``global`` that
count here change with a reload, so they are read from the configuration in force.
"""

from __future__ import annotations

import math
import os
import time
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from cbox_init.api.caller import SESSION_PREFIX, Caller, ProcessPatterns, address_of, set_caller
from cbox_init.api.guards import NotVerifiedError
from cbox_init.api.http.asgi import EXCHANGE
from cbox_init.api.replies import send_error
from cbox_init.api.resource import LOGIN_PATH, OPEN_PATH
from cbox_init.config.model.enums import Role
from cbox_init.config.rules import identified, is_loopback

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cbox_init.api.http.peer import Peer
    from cbox_init.api.sessions import Sessions
    from cbox_init.api.tokens import TokenGrant, Tokens
    from cbox_init.config.model import ApiCertificateRole, ApiSocketRole, GlobalConfig, Secret
    from cbox_init.logs.daemon import DaemonLog

_CHALLENGE: Final = ((b"www-authenticate", b"Bearer"),)

#: Keys of ``global`` whose change in a reload changes who callers are. Those of the port count at the start.
_KEYS: Final = ("api_auth", "api_tokens", "api_certificate_roles", "api_socket_roles")

TRUSTED_UID: Final = 0

#: Kinds of callers that a browser sends no proof of by itself.
_BEARERS: Final = ("token", "session")

_ALL: Final = ProcessPatterns()


class Credentials:
    """What callers are recognised by, as the configuration in force says. Owns the followed token files.

    For the event loop's thread.
    """

    def __init__(self, settings: Callable[[], GlobalConfig], log: DaemonLog) -> None:
        self._settings = settings
        self._log = log
        self._seen: GlobalConfig | None = None
        self._closing: set[Task[None]] = set()
        self._key = os.urandom(32)
        self.tokens: Tokens | None = None
        self.identified = True
        """Whether a client on TCP has to say who it is."""
        self.certificates: tuple[CertificateRule, ...] = ()
        self.sockets: tuple[SocketRule, ...] = ()
        self.sessions: Sessions | None = None
        """The sessions that were begun with a login code; None before the first code."""

    def current(self) -> GlobalConfig:
        """The settings in force; the rest of this object is brought up to date with them."""
        settings = self._settings()
        if settings is not self._seen:
            before, self._seen = self._seen, settings
            if before is None or any(getattr(before, key) != getattr(settings, key) for key in _KEYS):
                self._renew(before, settings)
        return settings

    def _renew(self, before: GlobalConfig | None, settings: GlobalConfig) -> None:
        self.identified = identified(settings)
        self.certificates = tuple(map(CertificateRule, settings.api_certificate_roles))
        self.sockets = tuple(map(SocketRule, settings.api_socket_roles))
        if before is not None and before.api_tokens == settings.api_tokens:
            return
        former = self.tokens
        self._drop_tokens()
        if settings.api_tokens:
            from asyncio import get_running_loop

            from cbox_init.api.tokens import Tokens

            self.tokens = Tokens(settings.api_tokens, self._log, before=former)
            self.tokens.start(get_running_loop())

    # -- who is who, at once ---------------------------------------------------------------------------

    def caller_of_token(self, given: bytes, address: str) -> Caller | None:
        """The caller by its token, as far as that is found without computing a hash."""
        settings = self.current()
        if settings.api_auth and is_token(given, settings.api_auth):
            return Caller("api_auth", "token", Role.ADMIN, _ALL, address)
        grant = None if self.tokens is None else self.tokens.find_at_once(given)
        return None if grant is None else _of_grant(grant, address)

    def caller_of_session(self, given: bytes, address: str) -> Caller | None:
        """The caller by the token of its session."""
        return None if self.sessions is None else self.sessions.find(given, address)

    def caller_of_certificate(self, peer: Peer, address: str) -> Caller | None:
        """The caller by its verified certificate.

        Where no token and no role is configured, whoever has one may do everything.
        """
        settings = self.current()
        if not (peer.subject or peer.names) or time.time() >= peer.expires:
            return None  # a connection may outlive the certificate
        name, rules = shown_subject(peer), self.certificates
        for rule in rules:
            if rule.matches(peer):
                return Caller(name, "certificate", rule.role, rule.processes, address, expires=peer.expires)
        if settings.api_auth is not None or settings.api_tokens:
            return None
        role = None if rules else Role.ADMIN
        return Caller(name, "certificate", role, _ALL, address, expires=peer.expires)

    def caller_of_process(self, peer: Peer) -> Caller:
        """The caller by the process at the other end of the Unix socket."""
        self.current()
        name, rules = f"uid:{peer.uid}", self.sockets
        for rule in rules:
            if rule.matches(peer):
                return Caller(name, "socket", rule.role, rule.processes, "", peer.uid, peer.pid)
        # Root and the daemon's own user could take over the daemon anyhow.
        trusted = not rules or peer.uid in (TRUSTED_UID, os.geteuid())
        return Caller(name, "socket", Role.ADMIN if trusted else None, _ALL, "", peer.uid, peer.pid)

    # -- login codes -----------------------------------------------------------------------------------

    def issuer_of(self, scope: Scope, caller: Caller) -> Callable[[], Caller | None] | None:
        """A function that recognises the sender of this request again later, without its request.

        None for a caller that has no identity of its own: it needs none, or has a session only.
        """
        peer: Peer = scope[EXCHANGE].peer
        if caller.kind == "socket":
            return lambda: self.caller_of_process(peer)
        if caller.kind == "certificate":
            return lambda: self.caller_of_certificate(peer, caller.address)
        header = _authorization(scope["headers"])
        given = None if header is None else bearer(header)
        if caller.kind != "token" or given is None:
            return None
        # Not the token itself: this is kept as long as the session.
        digest = self._digest(given)
        find = None if self.tokens is None else self.tokens.finder(given)

        def recognise() -> Caller | None:
            settings = self.current()
            if settings.api_auth and compare_digest(
                digest, self._digest(settings.api_auth.reveal().encode())
            ):
                return Caller("api_auth", "token", Role.ADMIN, _ALL, caller.address)
            if find is None or self.tokens is None:
                return None
            grant = find(self.tokens)
            if grant is not None:
                return _of_grant(grant, caller.address)
            return None if self.tokens.are_read or time.time() >= caller.expires else caller

        return recognise

    def open_sessions(self) -> Sessions:
        """The codes and sessions, from now on."""
        if self.sessions is None:
            from cbox_init.api.sessions import Sessions

            self.sessions = Sessions()
        return self.sessions

    def _digest(self, token: bytes) -> bytes:
        from hashlib import blake2b

        return blake2b(token, key=self._key, digest_size=32).digest()

    def _drop_tokens(self) -> None:
        tokens, self.tokens = self.tokens, None
        if tokens is not None:
            from asyncio import get_running_loop

            task = get_running_loop().create_task(tokens.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Stop following token files."""
        from asyncio import gather

        self._drop_tokens()
        await gather(*self._closing)


class AuthenticateTcp:
    """Recognises the caller of each request, answers 401 where that fails, and passes the request on.

    A request that a browser can send without its user's consent (with a certificate, or where nothing is
    needed) goes through ``sites`` first; a browser sends no token by itself.
    """

    def __init__(self, app: ASGIApp, sites: ASGIApp, credentials: Credentials) -> None:
        self._app = app
        self._sites = sites
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        credentials = self._credentials
        settings = credentials.current()
        is_open = scope["path"] in (OPEN_PATH, LOGIN_PATH)
        caller = self._of_session(scope)
        if caller is not None:
            pass
        elif credentials.identified:
            header = _authorization(scope["headers"])
            try:
                if header is not None and (settings.api_auth is not None or settings.api_tokens):
                    caller = await self._of_token(header, scope, at_once=is_open)
                else:
                    caller = self._of_certificate(scope)
            except NotVerifiedError as error:
                wait = (b"retry-after", str(math.ceil(error.wait_s)).encode())
                await send_error(send, error.status, str(error), (wait,))
                return
            if caller is None and not is_open:
                await send_error(send, 401, "unauthorized", _CHALLENGE)
                return
        else:
            caller = self._of_certificate(scope) or _anyone(settings, scope)
        if caller is not None:
            set_caller(scope, caller, lambda: self._again(scope, caller, settings))
        by_itself = not credentials.identified or (caller is not None and caller.kind not in _BEARERS)
        await (self._sites if by_itself else self._app)(scope, receive, send)

    def _again(self, scope: Scope, before: Caller, under: GlobalConfig) -> Caller | None:
        """The caller of a request as it is recognised now; ``before`` where a file is yet to be read.

        It was recognised ``under`` those settings: who needs no token is the same as long as they count.
        """
        credentials = self._credentials
        settings = credentials.current()
        if before.kind == "session":
            return self._of_session(scope)
        if not credentials.identified:
            if settings is under and before.kind != "certificate":
                return before
            return self._of_certificate(scope) or _anyone(settings, scope)
        if before.kind == "certificate":
            return self._of_certificate(scope)
        header = _authorization(scope["headers"])
        given = None if header is None else bearer(header)
        if given is None:
            return None
        tokens = credentials.tokens
        caller = credentials.caller_of_token(given, address_of(scope))
        return before if caller is None and tokens is not None and not tokens.are_read else caller

    async def _of_token(self, header: bytes, scope: Scope, *, at_once: bool) -> Caller | None:
        given = bearer(header)
        if given is None:
            return None
        address = address_of(scope)
        tokens = self._credentials.tokens
        caller = self._credentials.caller_of_token(given, address)
        if caller is not None or tokens is None or at_once or given.startswith(SESSION_PREFIX):
            return caller
        grant = await tokens.find(given, address)
        return None if grant is None else _of_grant(grant, address)

    def _of_session(self, scope: Scope) -> Caller | None:
        if self._credentials.sessions is None:
            return None
        given = session_token_of(scope)
        return None if given is None else self._credentials.caller_of_session(given, address_of(scope))

    def _of_certificate(self, scope: Scope) -> Caller | None:
        return self._credentials.caller_of_certificate(scope[EXCHANGE].peer, address_of(scope))


class AuthenticateSocket:
    """Recognises the process on the Unix socket that sends each request, and passes the request on."""

    def __init__(self, app: ASGIApp, credentials: Credentials) -> None:
        self._app = app
        self._credentials = credentials
        self._last: tuple[Peer, GlobalConfig, Caller] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer: Peer = scope[EXCHANGE].peer
        set_caller(scope, self._caller(peer), lambda: self._caller(peer))
        await self._app(scope, receive, send)

    def _caller(self, peer: Peer) -> Caller:
        """The caller by its process, found once for the requests of a connection that come in a row."""
        settings, last = self._credentials.current(), self._last
        if last is not None and last[0] is peer and last[1] is settings:
            return last[2]
        caller = self._credentials.caller_of_process(peer)
        self._last = peer, settings, caller
        return caller


class CertificateRule:
    """One entry of ``api_certificate_roles``."""

    def __init__(self, config: ApiCertificateRole) -> None:
        from cbox_init.config.api_roles import subject_parts

        self.role = config.role
        self.processes = ProcessPatterns(config.processes)
        self._subject = subject_parts(config.subject) if config.subject is not None else frozenset()
        self._san = config.san

    def matches(self, peer: Peer) -> bool:
        """Whether all that the entry names is in the certificate."""
        if not self._subject.issubset(peer.subject):
            return False
        return self._san is None or any(self._san in (name, name.partition(":")[2]) for name in peer.names)


class SocketRule:
    """One entry of ``api_socket_roles``; a name that this machine does not have matches nobody."""

    def __init__(self, config: ApiSocketRole) -> None:
        self.role = config.role
        self.processes = ProcessPatterns(config.processes)
        self._user = config.user
        self._group = config.group
        self._uid = None if config.user is None else _number(config.user, _uid_of)
        self._gid = None if config.group is None else _number(config.group, _gid_of)

    def matches(self, peer: Peer) -> bool:
        """Whether the process has the user and the group that the entry names."""
        if self._user is not None and (self._uid is None or peer.uid != self._uid):
            return False
        return self._group is None or (self._gid is not None and self._gid in peer.groups)


def shown_subject(peer: Peer) -> str:
    """The subject of a certificate as text, such as ``CN=deploy,O=Example``; its first name without one."""
    if not peer.subject:
        return peer.names[0]
    return ",".join(part.replace("\\", "\\\\").replace(",", "\\,") for part in peer.subject)


def is_token(given: bytes, token: Secret) -> bool:
    """Whether ``given`` is the token; compared in constant time."""
    return compare_digest(given, token.reveal().encode())


def session_token_of(scope: Scope) -> bytes | None:
    """The session token that a request was sent with, whether it counts or not."""
    header = _authorization(scope["headers"])
    given = None if header is None else bearer(header)
    return given if given is not None and given.startswith(SESSION_PREFIX) else None


def _of_grant(grant: TokenGrant, address: str) -> Caller:
    return Caller(grant.name, "token", grant.role, grant.processes, address, expires=grant.expires)


def _anyone(settings: GlobalConfig, scope: Scope) -> Caller:
    """The caller where nobody has to say who it is.

    Who reaches the port from another machine may do what clients of existing files do, but give the daemon no
    commands to run.
    """
    address = address_of(scope)
    if is_loopback(settings.api_host):
        return Caller("loopback", "loopback", Role.ADMIN, _ALL, address)
    role = Role.ADMIN if settings.api_insecure else Role.OPERATOR
    return Caller("anonymous", "anonymous", role, _ALL, address)


def _authorization(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The first Authorization header."""
    return next((value for name, value in headers if name == b"authorization"), None)


def bearer(header: bytes) -> bytes | None:
    """The token of an Authorization header; None when it has another scheme."""
    scheme, _, given = header.strip().partition(b" ")
    return given.lstrip(b" ") if scheme.lower() == b"bearer" else None


def _number(text: str, look_up: Callable[[str], int]) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return look_up(text)
    except (KeyError, ValueError):
        return None


def _uid_of(name: str) -> int:
    from pwd import getpwnam

    return getpwnam(name).pw_uid


def _gid_of(name: str) -> int:
    from grp import getgrnam

    return getgrnam(name).gr_gid
