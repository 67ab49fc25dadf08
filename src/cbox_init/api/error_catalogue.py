"""Every error that a request may be answered with: its status, its text, when it comes, and what to do.

The OpenAPI document has it as ``x-errors``, and from there docs/api-reference.md and the page of the API.
Imported only for that document. A test holds each error reply of the other tests against it.
"""

from __future__ import annotations

from msgspec import Struct


class KnownError(Struct, frozen=True):
    """One error. ``{words}`` of its text are replaced in a reply."""

    status: int
    error: str
    when: str
    todo: str


def _known(status: int, error: str, when: str, todo: str) -> KnownError:
    return KnownError(status, error, when, todo)


KNOWN_ERRORS = (
    _known(
        400,
        "invalid request body",
        "The body is no JSON, has a member of another type, a member twice, or is too "
        "deep or too long; or a number "
        "of instances is out of range.",
        "Compare it with the schema of the route. `details`, where there are any, name "
        "the member and the limit.",
    ),
    _known(
        400,
        "{parameter} must be {expected}, not {given}",
        "A parameter of the query or a header has a value that cannot be used.",
        "Write it as the text says. Nothing was done.",
    ),
    _known(
        400,
        "{parameter} must have {least} to {most} characters, not {count}: {given}",
        "A name or a pattern is empty or too long.",
        "Shorten it.",
    ),
    _known(
        400,
        "{parameter} is required: write {example}",
        "A parameter is missing without which the route cannot answer.",
        "Add it to the query.",
    ),
    _known(
        400,
        "{parameter} is given {count} times, at most {most} are allowed",
        "Too many patterns in one request.",
        "Join them into patterns with `*`, or leave the parameter out and choose from the reply.",
    ),
    _known(
        400,
        "{parameter}: there is no {kind}",
        "A kind of event that does not exist, often a typing error.",
        "The kinds are listed in docs/events.md.",
    ),
    _known(
        400,
        "process: no process matches {pattern}",
        "A pattern that none of the processes that the caller may see matches.",
        "`GET /api/v1/processes` has the names.",
    ),
    _known(
        400,
        "there is no event {id} yet: the latest is {latest}",
        "A position ahead of the last event, such as one of another daemon.",
        "Begin without it, or with `tail`.",
    ),
    _known(
        400,
        "until has no meaning here: a stream has no end; use /logs",
        "`until` was sent to the stream of lines.",
        "Ask `GET /api/v1/logs`, or leave it out.",
    ),
    _known(
        400,
        "until must be later than from, by at most 366 days",
        "The time that runs of schedules were asked for is empty or too long.",
        "Ask for a shorter time, or for several one after another.",
    ),
    _known(
        400,
        "this is not HTTP as it is understood here",
        "What came is no HTTP request: TLS to a port without it, another version, or a "
        "header that is malformed.",
        "Check the scheme of the URL (`https` needs `api_tls`), and what a proxy in front sends.",
    ),
    _known(
        400,
        "the only transfer-encoding that is understood is chunked",
        "A request with another `Transfer-Encoding`.",
        "Send a `Content-Length`, or chunks.",
    ),
    _known(400, "more than one Host header", "A request with two `Host` headers.", "Send one."),
    _known(
        401,
        "unauthorized",
        "The token is missing or wrong, or has expired; or a session was ended.",
        "Send `Authorization: Bearer TOKEN` with `api_auth` or one of `api_tokens`. On "
        "the machine itself the Unix "
        "socket needs none.",
    ),
    _known(
        403,
        "forbidden",
        "The address is not in `api_acl`, a page of another site has sent this, or the "
        "role or the processes of the "
        "token do not allow it.",
        "`details` say which. Use a token with the role that the route needs, or change the configuration.",
    ),
    _known(
        404,
        "process not found: {name}",
        "No process of that name is configured.",
        "`GET /api/v1/processes` has the names; after an edit of the file, reload it.",
    ),
    _known(
        404,
        "not found",
        "No such path. A path with a slash at its end is another one.",
        "Compare it with the list of routes.",
    ),
    _known(
        404,
        "instance not found: {id}",
        "No instance has that id now: it was replaced, or scaled away.",
        "The ids are in the entry of the process; they are `NAME-INDEX`.",
    ),
    _known(
        404,
        "no instance {id} of {name} is known",
        "The history has nothing for that id.",
        "The ids are in the entry of the process.",
    ),
    _known(
        404,
        "no process matches {selector}; there are {names}",
        "A name, pattern or group of a command for several selects none.",
        "The text has the names that there are.",
    ),
    _known(
        404,
        "{name} has no schedule: set processes.{name}.schedule",
        "A route of schedules for a process without one.",
        "Set the key, or use start and stop.",
    ),
    _known(
        404,
        "change {id} is no longer kept: the last {count} are",
        "The change is too old.",
        "Read a change soon after its command; the events have what happened.",
    ),
    _known(
        404,
        "change {id} is of another run of the daemon; changes are kept until it ends",
        "The daemon was started again since.",
        "See the state of the process itself.",
    ),
    _known(
        404,
        "there is no change {id}",
        "No change has that id, or the caller may not see its processes.",
        "`GET /api/v1/changes` has the ids.",
    ),
    _known(
        404,
        "notification not found: {name}",
        "No notification of that name is configured and enabled.",
        "`GET /api/v1/notifications` has the names.",
    ),
    _known(
        405,
        "method not allowed",
        "The path has no such method.",
        "The header `Allow` has those that it has.",
    ),
    _known(
        408,
        "request body did not come in time",
        "The body took more than 30 s.",
        "Send it again, over a better connection.",
    ),
    _known(
        408,
        "the request did not come in time",
        "A connection was opened, and no whole request came.",
        "Send it at once. Clients that keep connections open in reserve open another.",
    ),
    _known(
        409,
        "cannot {command}: the daemon is shutting down",
        "The container ends.",
        "Nothing: the next one starts with the configuration of the file.",
    ),
    _known(
        409,
        "cannot {command}: the configuration is being changed; try again",
        "The configuration of many processes is being put in force, for some 0.1 s.",
        "Send the request again.",
    ),
    _known(
        409,
        "cannot {command} {name}: the pre-start hooks and tests are still running",
        "The daemon has just started.",
        "Wait until `GET /api/v1/readiness` answers as you expect, and send it again.",
    ),
    _known(
        409,
        "cannot {command} {name}: it is being removed",
        "The process was removed, and its instances still end.",
        "Wait until it is gone from the list, then add it again.",
    ),
    _known(
        409,
        "cannot {command}: {count} changes are under way; wait for some of them",
        "Too many commands have not ended.",
        "`GET /api/v1/changes?status=doing` shows them.",
    ),
    _known(
        409,
        "cannot scale {name}: processes.{name}.scale_locked is set",
        "The configuration forbids scaling.",
        "Take `scale_locked` out and reload.",
    ),
    _known(
        409,
        "cannot scale {name}: it has a schedule; schedule_max_concurrent limits its runs",
        "A scheduled process has no scale.",
        "Set `schedule_max_concurrent`, or trigger runs.",
    ),
    _known(
        409,
        "{name} was not scaled: the daemon is shutting down",
        "The container ended while the older form of scaling waited.",
        "Nothing.",
    ),
    _known(
        409,
        "cannot {command} {id}: it is a run of a schedule; {command} {name}",
        "A command to one instance that belongs to a schedule.",
        "Send it to the process.",
    ),
    _known(
        409,
        "cannot {command} {id}: {name} is stopped; start {name}",
        "A command to one instance of a process that is stopped.",
        "Start the process.",
    ),
    _known(
        409,
        "cannot {command} {id}: it is there for the time of a rollout, or scaled away",
        "The instance is on its way out.",
        "Send the command to the process, or wait for the rollout.",
    ),
    _known(
        409,
        "{id} is an instance of {name} and one of {other}",
        "Two processes whose names and numbers make the same id.",
        "Rename one of them, or send the command to the process.",
    ),
    _known(
        409,
        "cannot signal {name}: {what} does not run",
        "There is no process that could receive the signal.",
        "Start it first.",
    ),
    _known(
        409,
        "cannot signal {ids}: not permitted; run the daemon as root, or as the user of the process",
        "The process runs as another user than the daemon, which lacks `CAP_KILL`.",
        "Run the daemon as root or as that user, or give it `CAP_KILL`.",
    ),
    _known(
        409,
        "cannot trigger {name}: {reason}",
        "The schedule is paused, a run is under way and another is not allowed, or a "
        "former instance still ends.",
        "Resume it, or wait for the run: `GET /api/v1/processes/{name}/schedule` shows its state.",
    ),
    _known(
        409,
        "{name}: {reason}",
        "The run that `sync` waited for did not start.",
        "The text says why; the events of the process have more.",
    ),
    _known(
        409,
        "cannot abandon {id}: {reason}",
        "The change has ended, is no rollout, or has no old instance left.",
        "Read the change: its `status` and `kind` say which.",
    ),
    _known(
        409,
        "process {name} exists already: change it with PUT, or use another name",
        "A process of that name is configured.",
        "Use PUT, or another name.",
    ),
    _known(
        409,
        "cannot remove {name}: {reason}",
        "Others depend on it, `readiness.processes` lists it, or it is the last.",
        "Change what the text names first.",
    ),
    _known(
        409,
        "cannot reload: {reason}",
        "There is no file to read, or no thread to read it with.",
        "The text says which; without a file use the routes of processes.",
    ),
    _known(
        409,
        "cannot save: {reason}",
        "The configuration comes from the environment alone.",
        "Start the daemon with a file.",
    ),
    _known(
        409,
        "cannot save {path}: {reason}",
        "The file cannot be written; it is as it was.",
        "Mount its directory writable, not the file alone, or edit it by hand.",
    ),
    _known(
        409,
        "cannot change the configuration of {name}, nothing is changed: {reason}",
        "The system refuses a resource that the new configuration needs.",
        "The text has the reason; try again when it is gone.",
    ),
    _known(
        409,
        "{what} could not be {done} within {seconds} s{rest}",
        "Checking or comparing took too long, as on a machine that is overloaded.",
        "Nothing was changed. Try again; a file this large may be split with `include`.",
    ),
    _known(
        409,
        "{what}; try again later",
        "The machine has no thread or memory left for this.",
        "Nothing was changed. See the limits of the container, then try again.",
    ),
    _known(
        409,
        "a test of {name} is under way",
        "The notification is being tested by another request.",
        "Wait for that.",
    ),
    _known(
        409,
        "the test of {name} was given up",
        "The notification was changed or the daemon ended while it was tested.",
        "Test it again.",
    ),
    _known(
        409,
        "a session begins no other: use a token, or cbox-init open on the machine",
        "A login code was asked for with the token of a session.",
        "Use a token of the configuration, or the Unix socket.",
    ),
    _known(
        409,
        "no token is needed here: open the page without a login code",
        "A login code was asked for where the API needs no token.",
        "Open the page.",
    ),
    _known(
        409,
        "this request was not sent with the token of a session",
        "A session was to be ended by a request that has none.",
        "Send it with the token of the session.",
    ),
    _known(
        413,
        "request body is larger than api_max_request_body ({bytes} bytes)",
        "The body is too large.",
        "Raise `api_max_request_body`, or send less.",
    ),
    _known(
        422,
        "invalid configuration, nothing was changed",
        "The body or the file is well formed, and no valid configuration.",
        "`details` have every problem with the path of its key and how to fix it. `POST "
        "/api/v1/config/validate` "
        "checks without changing anything.",
    ),
    _known(
        422,
        "Idempotency-Key {key} was used for another request",
        "The key was used for another path, query or body.",
        "Choose another key for each request; the same one only to repeat it.",
    ),
    _known(
        429,
        "rate limit exceeded",
        "More requests from this address than `api_rate_limit` and `api_rate_burst` allow.",
        "Wait as long as `Retry-After` says. Use a stream instead of asking again and again.",
    ),
    _known(
        429,
        "too many unknown tokens",
        "Tokens that would have to be compared with hashes came too often.",
        "Correct the token; wait as long as `Retry-After` says.",
    ),
    _known(
        429,
        "too many login codes were tried",
        "Login codes that do not exist came too often.",
        "Print a new address with the command `open`; wait as long as `Retry-After` says.",
    ),
    _known(
        429,
        "there are {most} {what}: wait until one has ended",
        "Too many login codes or sessions are in use.",
        "Sign out where a session is not needed, or wait until they expire.",
    ),
    _known(
        431,
        "more than {count} headers",
        "The request has too many headers.",
        "Send fewer: proxies and cookies add most.",
    ),
    _known(
        431,
        "request line and headers are larger than {bytes} bytes",
        "The head of the request is too large.",
        "Send less: long queries and cookies make most of it.",
    ),
    _known(
        500,
        "internal error: the log of the daemon says where",
        "A defect of cbox-init. The processes are not affected.",
        "Report it with the lines of the log.",
    ),
    _known(
        503,
        "resource metrics are not collected: global.resource_metrics_enabled is false",
        "The history of resources is turned off.",
        "Set the key and reload.",
    ),
    _known(
        503,
        "too many connections",
        "`api_max_connections` are open.",
        "Close connections that are not needed; wait as long as `Retry-After` says.",
    ),
    _known(
        503,
        "too much memory is taken by responses that are not read yet; see api_memory_budget",
        "Clients ask for more than they read.",
        "Read the replies; wait as long as `Retry-After` says.",
    ),
    _known(
        503,
        "too much memory is taken by requests and responses; see api_memory_budget",
        "Clients send and ask for more than the daemon has memory for.",
        "Send fewer and smaller requests at once; wait as long as `Retry-After` says.",
    ),
    _known(
        503,
        "the token cannot be verified now",
        "The machine lacks the memory or the thread to compute the hash of a token.",
        "Wait as long as `Retry-After` says.",
    ),
    _known(
        503,
        "the change is refused: audit_required is set",
        "The record of the change cannot be written to the audit trail.",
        "`details` say why. Make room or repair the output of the audit; reads still work.",
    ),
    _known(
        503,
        "the web pages cannot be read",
        "The files of the page are missing from the installation.",
        "Install cbox-init again. The API works without them.",
    ),
)
