"""The table of commands: everything clients can ask of the daemon, in either protocol.

The line protocol finds a command by its words and the number of arguments, JSON-RPC by its method.
A command that behaves differently in the two protocols has a row for each. The OpenRPC document,
JSON-RPC's error texts and the help of the `zinit` command are derived from this table.
"""

from zinit.control import deferred, servicefiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Command:
    """One command.

    `run(session, *arguments)` returns the result, a `Deferred` if the reply comes later, or bytes
    to be sent as they are (line protocol only). It raises CommandError.
    """

    __slots__ = ("action", "description", "line", "method", "parameters", "run")

    def __init__(
        self,
        line: str,
        method: str,
        parameters: str,
        description: str,
        run: "Callable[..., object]",
        action: str = "",
    ) -> None:
        self.line = tuple(line.split())  # the words in the line protocol; none: not there
        self.method = method  # the JSON-RPC method; empty: not there
        self.parameters = parameters.split()  # `name?` is optional
        self.description = description
        self.run = run
        self.action = action or method  # what JSON-RPC's errors say the daemon was doing


COMMANDS = (
    Command(
        "list", "service_list", "",
        "list the services with their states",
        lambda session: session.api.manager.list_states(),
    ),
    Command(
        "status", "service_status", "name",
        "show a service's pid, state, target and dependencies",
        lambda session, name: session.api.status(name),
        "getting status",
    ),
    Command(
        "reason", "service_reason", "name",
        "tell why a service is not up, or why its file is not used",
        lambda session, name: session.api.explain(name),
        "getting the reason",
    ),
    Command(
        "start", "service_start", "name",
        "start a service",
        lambda session, name: session.api.manager.start(name),
        "starting service",
    ),
    Command(
        "stop", "", "name",
        "stop a service",
        lambda session, name: session.api.manager.stop(name),
    ),
    Command(
        "", "service_stop", "name",
        "stop a service; the reply comes when it is down",
        lambda session, name: deferred.stop(session.api, name),
        "stopping service",
    ),
    Command(
        "restart", "service_restart", "name",
        "stop a service and start it again",
        lambda session, name: deferred.restart(session.api, name),
        "restarting service",
    ),
    Command(
        "forget", "service_forget", "name",
        "drop a service that is down",
        lambda session, name: session.api.manager.forget(name),
        "forgetting service",
    ),
    Command(
        "monitor", "", "name",
        "load a service file and start the service",
        lambda session, name: session.api.monitor(name),
    ),
    Command(
        "", "service_monitor", "name",
        "load a service file and start the service",
        lambda session, name: servicefiles.monitor(session.api, name),
        "monitoring service",
    ),
    Command(
        "kill", "service_kill", "name signal",
        "send a signal, given by its full name, to a service",
        lambda session, name, signal: session.api.manager.kill(name, signal),
        "sending signal",
    ),
    Command(
        "reload", "system_reload", "",
        "apply changed service files",
        lambda session: deferred.await_job(session.api, session.api.reload_folder()),
        "reloading services",
    ),
    Command(
        "reload", "service_reload", "name",
        "make a service read its own configuration again",
        lambda session, name: session.api.manager.reload_service(name),
        "reloading service",
    ),
    Command(
        "", "service_create", "name content",
        "write a service file",
        lambda session, name, content: servicefiles.create(session.api, name, content),
        "creating service",
    ),
    Command(
        "", "service_delete", "name",
        "remove a service file",
        lambda session, name: servicefiles.delete(session.api, name),
        "deleting service",
    ),
    Command(
        "", "service_get", "name",
        "read a service file",
        lambda session, name: servicefiles.get(session.api, name),
        "getting service",
    ),
    Command(
        "", "service_stats", "name",
        "show the memory and CPU use of a service and its descendants",
        lambda session, name: deferred.await_job(session.api, session.api.measure_stats(name)),
        "collecting stats",
    ),
    Command(
        "reopen-logs", "system_reopen_logs", "",
        "begin log files anew that were removed or renamed",
        lambda session: session.api.reopen_logs(),
        "reopening logs",
    ),
    Command(
        "analyze", "", "",
        "show when each service reached each stage of the boot",
        lambda session: session.api.analyze(),
    ),
    Command(
        "reexec", "", "",
        "re-execute zinit; services keep running",
        lambda session: session.api.order_reexec(),
    ),
    Command(
        "shutdown", "system_shutdown", "",
        "stop all services and power off",
        lambda session: session.api.order_shutdown(),
        "system shutdown",
    ),
    Command(
        "reboot", "system_reboot", "",
        "stop all services and reboot",
        lambda session: session.api.order_reboot(),
        "system reboot",
    ),
    Command(
        "", "system_start_http_server", "address",
        "serve JSON-RPC over HTTP on a loopback address or Unix socket, with a token",
        lambda session, address: session.api.start_http(address),
        "starting http server",
    ),
    Command(
        "", "system_stop_http_server", "",
        "stop serving HTTP",
        lambda session: session.api.stop_http(),
        "stopping http server",
    ),
    Command(
        "log", "", "",
        "return the log and follow it",
        lambda session: session.follow_log(),
    ),
    Command(
        "log snapshot", "", "",
        "return the log",
        lambda session: session.copy_log(),
    ),
    Command(
        "", "stream_currentLogs", "name?",
        "return the log, of one service or of all",
        lambda session, name: session.copy_log(name),
    ),
    Command(
        "", "stream_subscribeLogs", "filter?",
        "receive log lines, of one service or of all, as notifications",
        lambda session, name: session.subscribe(name),
    ),
    Command(
        "", "stream_unsubscribeLogs", "subscription",
        "end a subscription",
        lambda session, subscription: session.unsubscribe(subscription),
    ),
    Command(
        "", "rpc.discover", "",
        "return this description",
        lambda session: session.describe_methods(),
    ),
)  # fmt: skip

METHODS = {command.method: command for command in COMMANDS if command.method}
LINES = {(command.line, len(command.parameters)): command for command in COMMANDS if command.line}
CARELESS = ("list", "shutdown", "reboot")  # upstream ignores what follows these words


def find_line(words: "Sequence[str]") -> "tuple[Command, list[str]] | None":
    """Return the command of a request in the line protocol, and its arguments."""
    if words[0] in CARELESS:
        words = words[:1]
    for size in (1, 2):
        command = LINES.get((tuple(words[:size]), len(words) - size))
        if command is not None:
            return command, list(words[size:])
    return None
