"""The table of calls: path, method, role, what it does. Documentation and client follow it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from core.api import answers
from core.api.errors import RefusedError
from core.api.node import Node
from core.certificates.names import Role

TOP = "/api/v1"
LINES_MAX = 2000  # as many as the node keeps
TEXT_MAX_CHARS = 200
JSON, LINES, ARCHIVE = "application/json", "application/x-ndjson", "application/gzip"
REQUIRED = object()


@dataclass(frozen=True)
class Parameter:
    """A parameter; `kind` is str, int or bool. Without a default it must be given."""

    name: str
    kind: type
    what: str
    default: Any = REQUIRED


@dataclass(frozen=True)
class Route:
    """A call. `asks` says which socket it asks for what; `kind` is what it answers with."""

    method: str
    path: str
    role: Role
    function: Callable[[Node, Mapping[str, Any]], Any]
    asks: str
    parameters: tuple[Parameter, ...] = ()
    kind: str = JSON

    @property
    def summary(self) -> str:
        """Return what it does, in one line."""
        return (self.function.__doc__ or "").partition("\n")[0]

    @property
    def name(self) -> str:
        """Return its name in the description."""
        return self.function.__name__


NAME = Parameter("name", str, "the service")
LOG = (
    Parameter("follow", bool, "go on with new lines until the caller goes", default=False),
    Parameter("lines", int, f"how many of the last lines, 0 to {LINES_MAX}", default=100),
)
RELEASE = Parameter("release", str, "the release's version, as the channel holds it")
KEXEC = Parameter("kexec", bool, "start the channel's kernel without the firmware", default=False)
READER, OPERATOR, FARMER = Role.READER, Role.OPERATOR, Role.FARMER

ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", READER, answers.get_status, "door status, identity describe"),
    Route("GET", "/services", READER, answers.get_services, "door services.list"),
    Route("GET", "/logs", READER, answers.get_logs, "door services.logs", LOG, LINES),
    Route(
        "GET",
        "/services/{name}/logs",
        READER,
        answers.get_service_logs,
        "door services.logs",
        (NAME, *LOG),
        LINES,
    ),
    Route(
        "POST",
        "/services/{name}/restart",
        OPERATOR,
        answers.restart_service,
        "door services.restart",
        (NAME,),
    ),
    Route("GET", "/network", READER, answers.get_network, "door status, capacity facts"),
    Route("GET", "/storage", READER, answers.get_storage, "door status, capacity facts"),
    Route("GET", "/capacity", READER, answers.get_capacity, "capacity facts and load"),
    Route("GET", "/versions", READER, answers.get_versions, "door status"),
    Route("GET", "/update", READER, answers.get_update, "door update.look"),
    Route("POST", "/update", OPERATOR, answers.start_update, "door update.apply", (RELEASE,)),
    Route("POST", "/rollback", OPERATOR, answers.roll_back, "door update.rollback"),
    Route("POST", "/reboot", OPERATOR, answers.reboot, "door power.reboot", (KEXEC,)),
    Route("POST", "/poweroff", FARMER, answers.power_off, "door power.off"),
    Route("GET", "/support", OPERATOR, answers.get_support, "all of them", kind=ARCHIVE),
    Route("GET", "/audit", OPERATOR, answers.get_audit, "the audit log", kind=LINES),
)


def find_routes(path: str) -> tuple[list[Route], dict[str, str]]:
    """Return the routes of a path as it was sent, and the values in it. Raises `RefusedError`."""
    parts = path.split("/")
    for route in ROUTES:
        values = match(f"{TOP}{route.path}".split("/"), parts)
        if values is not None:
            return [other for other in ROUTES if other.path == route.path], values
    raise RefusedError(404, "there is no such call", hint=f"{TOP}/openapi.json lists them all")


def match(wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return the values of a path, None if it is another one."""
    if len(wanted) != len(parts):
        return None
    values = {}
    for want, part in zip(wanted, parts, strict=True):
        if want.startswith("{"):
            values[want.strip("{}")] = decode(part)
        elif want != part:
            return None
    return values


def decode(part: str) -> str:
    """Return a part of a path."""
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        raise RefusedError(400, "the address is not UTF-8") from error
    if not text or not text.isprintable() or len(text) > TEXT_MAX_CHARS:
        raise RefusedError(404, "there is no such service")
    return text


def choose_method(routes: Iterable[Route], method: str) -> Route:
    """Return the route of a method; HEAD is as GET. Raises `RefusedError`."""
    known = {route.method: route for route in routes}
    wanted = "GET" if method == "HEAD" else method
    if wanted in known:
        return known[wanted]
    allowed = ", ".join(sorted(known | ({"HEAD": None} if "GET" in known else {})))
    raise RefusedError(
        405, f"this call can't be made with {method[:20]}", headers=(("Allow", allowed),)
    )


def check_values(route: Route, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a call. Raises `RefusedError` for what is wrong with them."""
    known = {parameter.name: parameter for parameter in route.parameters}
    if surplus := sorted(set(given) - set(known)):
        raise RefusedError(422, f"there is no parameter {surplus[0][:40]!r}")
    values = {}
    for name, parameter in known.items():
        value = given.get(name, parameter.default)
        if value is REQUIRED:
            raise RefusedError(422, f"the parameter {name} is missing: {parameter.what}")
        if type(value) is not parameter.kind or (
            isinstance(value, str) and not 0 < len(value) <= TEXT_MAX_CHARS
        ):
            raise RefusedError(422, f"the parameter {name} is wrong: {parameter.what}")
        values[name] = value
    if values.get("lines", 0) not in range(LINES_MAX + 1):
        raise RefusedError(422, f"the parameter lines is wrong: {known['lines'].what}")
    return values


def from_text(route: Route, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the parameters of a query with the types that they have in JSON."""
    kinds = {parameter.name: parameter.kind for parameter in route.parameters}
    found: dict[str, Any] = {}
    for name, text in pairs:
        if name in found:
            raise RefusedError(422, f"the parameter {name[:40]!r} is there twice")
        kind, value = kinds.get(name), text
        if kind is bool and text in ("true", "false"):
            found[name] = text == "true"
        elif kind is int and text.isascii() and text.isdigit() and len(text) < 10:
            found[name] = int(text)
        else:
            found[name] = value
    return found
