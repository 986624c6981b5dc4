"""The `zinit` command: upstream's subcommands, output and exit statuses, and some of our own."""

import sys

from zinit.client import DEFAULT_SOCKET
from zinit.client.arguments import NO_SUBCOMMAND, Options, Subcommand, UsageError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VERSION = "1.0.0"
DEFAULT_FOLDER = "/etc/zinit"


def entry() -> int:
    """Run the command line `zinit ...` and return its exit status."""
    argv = sys.argv[1:]
    at = 2 if argv[:1] in (["-s"], ["--socket"]) else 0
    if argv[at : at + 1] == ["init"]:  # PID 1 starts here, so import as little as possible
        return main(argv, "zinit")
    from common.errors import ZosError, run_command

    def run_plain(words: "Sequence[str]") -> int:
        try:
            return main(words, "zinit")
        except ZosError as error:  # upstream's clients match the bare text
            hint = f"  hint: {error.hint}\n" if error.hint else ""
            sys.stderr.write(f"{error.message}\n{hint}")
            return error.exit_code

    return run_command(run_plain, argv, "zinit")


def main(argv: "Sequence[str]", prog: str) -> int:
    """Run `argv` and return the exit status; raises ZosError when the daemon refuses."""
    options = Options(prog)
    try:
        subcommand = parse(list(argv), options, COMMANDS)
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n\nUSAGE:\n    {prog} --socket <SOCKET>\n")
        sys.stderr.write("\nFor more information try --help\n")
        return 1
    return subcommand.run(options)


def run_init(options: Options) -> int:
    """Run the daemon."""
    import gc
    import os

    if "ZINIT_TRIAL" in os.environ:  # a child that tests this program
        from zinit.control.trial import run_trial

        return run_trial()
    gc.disable()  # until the daemon has imported what it needs
    from zinit.daemon import Settings, run_container

    try:
        lines = int(options.flags.get("buffer", "2000"))
    except ValueError:
        sys.stderr.write("error: --buffer takes a number\n")
        return 1
    settings = Settings(
        folder=options.flags.get("config", DEFAULT_FOLDER),
        socket=options.socket,
        ring_lines=lines,
        is_container="container" in options.flags,
    )
    if os.getpid() == 1 and not settings.is_container:
        from zinit.boot import main as boot

        boot(settings)
    return run_container(settings)


def run_simple(options: Options) -> int:
    """Send a command of the line protocol that has no result."""
    options.client.call(options.name, *options.words)
    return 0


def run_list(options: Options) -> int:
    """Print the state of every service."""
    states = options.client.list()
    if "json" in options.flags:
        return print_json(states)
    print_yaml(states)
    return 0


def run_status(options: Options) -> int:
    """Print the state of one service; to a terminal also the reason, which upstream lacks."""
    status = find_status(options)
    reason = status.get("reason", "")
    if "json" in options.flags:
        return print_json({**status, "reason": reason})
    shown = {key: status[key] for key in ("name", "pid", "state", "target", "after")}
    print_yaml({**shown, "reason": reason} if reason and sys.stdout.isatty() else shown)
    return 0


def find_status(options: Options) -> "dict[str, Any]":
    """Return the state of one service; the error for a refused file says why it is refused."""
    from zinit.client.errors import ZinitError

    client, name = options.client, options.words[0]
    try:
        return client.status(name)
    except ZinitError as error:
        reason = client.explain(name, error)
        if not reason:
            raise
        raise ZinitError(f"{error.message}: {reason}") from None


def run_reason(options: Options) -> int:
    """Print why a service is not up, or why its file is not used."""
    reason = options.client.reason(options.words[0])
    sys.stdout.write(f"{reason}\n" if reason else "")
    return 0


def run_restart(options: Options) -> int:
    """Restart a service."""
    options.client.restart(options.words[0])
    return 0


def run_kill(options: Options) -> int:
    """Send a signal."""
    name, *signal = options.words
    options.client.kill(name, *signal)
    return 0


def run_log(options: Options) -> int:
    """Print the log, of one service or of all, and follow it unless -s is given."""
    from zinit.log.ring import is_line_of

    name = options.words[0] if options.words else None
    if name is not None:
        options.client.check_name(name)
    for line in options.client.log(follow="snapshot" not in options.flags):
        if name is None or is_line_of(line.encode(), name):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


def run_reload(options: Options) -> int:
    """Make one service reload, or apply changed files and print what changed."""
    if options.words:
        options.client.reload_service(options.words[0])
        return 0
    done = options.client.reload()
    for what in ("added", "changed", "restarted", "removed"):
        for name in done[what]:
            sys.stdout.write(f"{what} {name}\n")
    for name, reason in done["failed"].items():
        sys.stderr.write(f"{name}: {reason}\n")
    return 1 if done["failed"] else 0


def run_check(options: Options) -> int:
    """Print the errors and warnings about a folder; fail if there are errors."""
    from zinit.client.check import ERROR, check_folder

    try:
        root = options.flags.get("root", "")
        folder = options.words[0] if options.words else f"{root.rstrip('/')}{DEFAULT_FOLDER}"
        findings = check_folder(folder, root)
    except OSError as error:
        sys.stderr.write(f"cannot read {error.filename}: {error.strerror}\n")
        return 1
    if "json" in options.flags:
        print_json([vars(finding) for finding in findings])
    else:
        sys.stdout.write("".join(f"{finding}\n" for finding in findings))
    return 1 if any(finding.level == ERROR for finding in findings) else 0


def run_analyze(options: Options) -> int:
    """Print the critical chain of the boot, its SVG picture, or the cost of PID 1's imports."""
    from zinit.client.analyze import measure_imports, render_chain, render_svg

    if options.words not in ([], ["plot"], ["imports"]):
        sys.stderr.write("error: analyze takes nothing, plot, or imports\n")
        return 1
    if options.words and "json" in options.flags:
        sys.stderr.write(f"error: analyze {options.words[0]} has no JSON\n")
        return 1
    if options.words == ["imports"]:
        sys.stdout.write(measure_imports())
        return 0
    answer = options.client.analyze()
    if "json" in options.flags:
        return print_json(answer)
    sys.stdout.write(render_svg(answer) if options.words else render_chain(answer))
    return 0


def run_stats(options: Options) -> int:
    """Print memory and CPU use."""
    from zinit.client.errors import misunderstand
    from zinit.client.rpc import call

    stats = call(options.socket, "service_stats", [options.words[0]])
    if not isinstance(stats, dict) or "children" not in stats:
        raise misunderstand(stats)
    if "json" in options.flags:
        return print_json(stats)
    children = stats.pop("children")
    print_yaml(stats)
    rows = [
        f"  - pid: {one['pid']}\n    memory_usage: {one['memory_usage']}\n"
        f"    cpu_usage: {one['cpu_usage']}\n"
        for one in children
    ]
    sys.stdout.write("children:" + ("\n" + "".join(rows) if rows else " []\n"))
    return 0


def run_proxy(options: Options) -> int:
    """Make the daemon serve JSON-RPC over HTTP; print the address and the token."""
    import os

    from zinit.client.rpc import call

    address = options.flags.get("address", "127.0.0.1:8080")
    path = address.removeprefix("unix:")
    if path != address:
        address = f"unix:{os.path.abspath(path)}"
    sys.stdout.write(f"{call(options.socket, 'system_start_http_server', [address])}\n")
    return 0


def run_help(options: Options) -> int:
    """Print the usage."""
    from zinit.control.commands import LINES

    summaries = {command.line[0]: command.description for command in LINES.values()}
    rows = "".join(
        f"  {' '.join([name, *one.arguments]):<22} {one.summary or summaries[name]}\n"
        for name, one in COMMANDS.items()
        if name and not name.startswith("-")
    )
    sys.stdout.write(
        f"usage: {options.prog} [-s SOCKET] [-d] [COMMAND]\n\n{rows}\n"
        f"Without a command it lists the services. The socket is {DEFAULT_SOCKET}\n"
        "unless -s names another. list, status, stats, check and analyze take --json.\n"
    )
    return 0


def run_version(options: Options) -> int:
    """Print two words; upstream's clients read the second."""
    sys.stdout.write(f"zinit v{VERSION}\n")
    return 0


def print_yaml(entries: "dict[str, object] | dict[str, str]") -> None:
    """Print a mapping as upstream prints YAML."""
    from zinit.client.yamltext import format_yaml

    sys.stdout.write(format_yaml(entries))


def print_json(value: object) -> int:
    """Print `value` as one line of JSON; return the exit status 0."""
    import json

    sys.stdout.write(json.dumps(value) + "\n")
    return 0


JSON_FLAGS = {"--json": "json"}
INIT_FLAGS = {
    "-c": "config=",
    "--config": "config=",
    "-b": "buffer=",
    "--buffer": "buffer=",
    "--container": "container",
}
INIT_SUMMARY = "run the services of a folder (-c FOLDER, -b LINES, --container)"
LOG_FLAGS = {"-s": "snapshot", "--snapshot": "snapshot"}
LOG_SUMMARY = "print the log and follow it (-s: do not follow)"
PROXY_FLAGS = {"-a": "address=", "--address": "address="}
PROXY_SUMMARY = "serve JSON-RPC over HTTP, with a token (-a loopback IP:PORT or unix:PATH)"
COMMANDS = {
    NO_SUBCOMMAND: Subcommand(run_list),
    "--help": Subcommand(run_help, "[COMMAND]"),
    "--version": Subcommand(run_version),
    "init": Subcommand(run_init, "", INIT_SUMMARY, INIT_FLAGS),
    "list": Subcommand(run_list, flags=JSON_FLAGS),
    "status": Subcommand(run_status, "SERVICE", flags=JSON_FLAGS),
    "reason": Subcommand(run_reason, "SERVICE"),
    "start": Subcommand(run_simple, "SERVICE"),
    "stop": Subcommand(run_simple, "SERVICE"),
    "restart": Subcommand(run_restart, "SERVICE"),
    "forget": Subcommand(run_simple, "SERVICE"),
    "monitor": Subcommand(run_simple, "SERVICE"),
    "kill": Subcommand(run_kill, "SERVICE [SIGNAL]", "send a signal (SIGTERM) to a service"),
    "log": Subcommand(run_log, "[SERVICE]", LOG_SUMMARY, LOG_FLAGS),
    "stats": Subcommand(run_stats, "SERVICE", "show memory and CPU use", JSON_FLAGS),
    "proxy": Subcommand(run_proxy, "", PROXY_SUMMARY, PROXY_FLAGS),
    "reload": Subcommand(
        run_reload, "[SERVICE]", "apply changed service files, or make one service reload"
    ),
    "reopen-logs": Subcommand(run_simple),
    "check": Subcommand(
        run_check,
        "[FOLDER]",
        "check a folder of service files, offline (--root TREE: for that root file system)",
        {**JSON_FLAGS, "--root": "root="},
    ),
    "analyze": Subcommand(
        run_analyze,
        "[WHAT]",
        "show the boot's critical chain (plot: as SVG; imports: of PID 1)",
        JSON_FLAGS,
    ),
    "reexec": Subcommand(run_simple),
    "shutdown": Subcommand(run_simple),
    "reboot": Subcommand(run_simple),
}
