"""Builds the application: all routes and the common error handlers."""

from __future__ import annotations

from socket import gethostname
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from cbox_init.api.authentication import AuthenticateTcp
from cbox_init.api.browsers import RefuseOtherSites
from cbox_init.api.commands import Commands
from cbox_init.api.guards import LimitBody, RateLimit
from cbox_init.api.pages import WithPages
from cbox_init.api.process_list import ProcessListBody
from cbox_init.api.replies import EXCEPTION_HANDLERS
from cbox_init.api.resource import OPEN_PATH
from cbox_init.api.routes import (
    actions,
    changes,
    config,
    daemon,
    events,
    health,
    live,
    log_outputs,
    log_stream,
    logs,
    metrics_history,
    notifications,
    oneshot,
    openapi,
    processes,
    readiness,
    scale,
    schedule,
    sessions,
    upcoming,
)
from cbox_init.config.rules import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cbox_init.api.authentication import Credentials
    from cbox_init.api.context import Context
    from cbox_init.api.pages import Pages
    from cbox_init.api.resource import Resource
    from cbox_init.config.model import GlobalConfig


def build_app(context: Context, most_body_bytes: int) -> ASGIApp:
    """The application, behind what finds out who sends a request."""
    routes = [Route(resource.path, resource) for resource in all_resources(context)]
    app = Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS)
    app.router.redirect_slashes = False
    return LimitBody(app, most_body_bytes)


def guarded(app: ASGIApp, settings: GlobalConfig, credentials: Credentials, pages: Pages) -> ASGIApp:
    """The application and the pages for TCP, with the configured rate limit and authentication.

    The rate limit comes first, so that it also slows down attempts to guess the token. Without a token, web
    pages of other sites are refused, and those under names that an attacker could choose.
    """
    origins = settings.api_cors_origins
    names = ("localhost", settings.api_host, gethostname())
    sites = RefuseOtherSites(app, origins, names, only_these=is_loopback(settings.api_host))
    app = WithPages(AuthenticateTcp(app, sites, credentials), pages)
    if origins:
        from cbox_init.api.browsers import AllowOrigins

        app = AllowOrigins(app, origins)
    if settings.api_rate_limit:
        app = RateLimit(
            app, settings.api_rate_limit, settings.api_rate_burst, open_path=OPEN_PATH, pages=pages.have
        )
    return app


def all_resources(context: Context) -> tuple[Resource, ...]:
    """Every path of the API, the most requested ones first."""
    commands = Commands(context.supervisor)
    listed = ProcessListBody(context.supervisor, context.figures, context.logs.daemon)
    described = (
        *processes.resources(context, commands, listed),
        *health.resources(),
        *readiness.resources(context),
        *daemon.resources(context),
        *live.resources(context, listed),
        *actions.resources(context, commands),
        *scale.resources(context, commands),
        *schedule.resources(context, commands),
        *upcoming.resources(context),
        *changes.resources(context, commands),
        *oneshot.resources(context),
        *config.resources(context, commands),
        *sessions.resources(context),
        *logs.resources(context),
        *log_outputs.resources(context),
        *log_stream.resources(context),
        *events.resources(context),
        *metrics_history.resources(context),
        *notifications.resources(context),
    )
    return (*described, *openapi.resources(described))
