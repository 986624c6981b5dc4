"""The `zinit` command: upstream's words, flags, output and exit statuses.

A small table instead of argparse: `zinit init` is PID 1's own start, and argparse alone would cost
it more than everything else.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zinit.client.line import Client

VERSION = "1.0.0"
DEFAULT_SOCKET = "/run/zinit.sock"
DEFAULT_FOLDER = "/etc/zinit"
NO_COMMAND = ""


class UsageError(Exception):
    """The words make no command."""


class Command:
    """One command: its arguments (`NAME`, or `[NAME]` if it may be missing), its flags."""

    __slots__ = ("arguments", "flags", "run", "summary")

    def __init__(
        self,
        summary: str,
        arguments: str,
        run: "Callable[[Options], int]",
        flags: "dict[str, str] | None" = None,
    ) -> None:
        self.summary = summary
        self.arguments = arguments.split()
        self.run = run
        self.flags = flags or {}


class Options:
    """What was typed."""

    def __init__(self) -> None:
        self.prog = "zinit"
        self.socket = DEFAULT_SOCKET
        self.words: list[str] = []
        self.flags: dict[str, str] = {}

    @property
    def client(self) -> "Client":
        """A client for the daemon."""
        from zinit.client.line import Client

        return Client(self.socket)


def entry() -> int:
    """Run the command line `zinit ...` and return its exit status."""
    argv = sys.argv[1:]
    at = 2 if argv[:1] in (["-s"], ["--socket"]) else 0
    if argv[at : at + 1] == ["init"]:  # PID 1's own start: as little as possible
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
    """Run `argv`; raises ZosError for what the daemon refuses."""
    options = Options()
    options.prog = prog
    try:
        command = parse(list(argv), options)
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n\nUSAGE:\n    {prog} --socket <SOCKET>\n")
        sys.stderr.write("\nFor more information try --help\n")
        return 1
    return command.run(options)


def parse(words: list[str], options: Options) -> Command:
    """Fill `options` from `words` and return the command."""
    name = parse_global(words, options)
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(
            f"Found argument '{name}' which wasn't expected, or isn't valid in this context"
        )
    while words:
        word = words.pop(0)
        if word == "--":
            options.words += words
            break
        key, value = split_flag(word)
        if key in command.flags:
            flag = command.flags[key]
            options.flags[flag.rstrip("=")] = take_value(flag, word, value, words)
        elif word in ("-h", "--help"):
            options.words.clear()
            return COMMANDS["--help"]
        elif word.startswith("-") and word != "-":
            raise UsageError(f"Found argument '{word}' which wasn't expected")
        else:
            options.words.append(word)
    check_count(command, options)
    return command


def parse_global(words: list[str], options: Options) -> str:
    """Take the flags before the command; return the command's name."""
    while words:
        word = words.pop(0)
        key, value = split_flag(word)
        if key in ("-s", "--socket"):
            options.socket = take_value("socket=", word, value, words)
        elif word in ("-d", "--debug"):
            options.flags["debug"] = "yes"
        elif word in ("-h", "--help", "help"):
            return "--help"
        elif word in ("-V", "--version"):
            return "--version"
        else:
            return word
    return NO_COMMAND


def split_flag(word: str) -> tuple[str, str | None]:
    """Return a flag and the value that is attached to it: `--socket=PATH`, `-sPATH`, `-s=PATH`."""
    if word.startswith("--"):
        key, equals, value = word.partition("=")
        return key, value if equals else None
    if word.startswith("-") and len(word) > 2:
        return word[:2], word[2:].removeprefix("=")
    return word, None


def take_value(flag: str, word: str, value: str | None, words: list[str]) -> str:
    """Return the value of a flag; `flag` ends in `=` if it takes one."""
    if not flag.endswith("="):
        if value is not None:
            raise UsageError(f"Found argument '{word}' which wasn't expected")
        return "yes"
    if value is None:
        if not words:
            raise UsageError(f"The argument '{word} <VALUE>' requires a value")
        value = words.pop(0)
    return value


def check_count(command: Command, options: Options) -> None:
    """Refuse missing or extra arguments."""
    needed = [name for name in command.arguments if not name.startswith("[")]
    if len(options.words) < len(needed):
        missing = "\n".join(f"    <{name}>" for name in needed[len(options.words) :])
        raise UsageError(f"The following required arguments were not provided:\n{missing}")
    if len(options.words) > len(command.arguments):
        extra = options.words[len(command.arguments)]
        raise UsageError(f"Found argument '{extra}' which wasn't expected")


def run_init(options: Options) -> int:
    """Run the daemon."""
    import os

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

        boot()
    return run_container(settings)


def run_list(options: Options) -> int:
    """Print every service's state."""
    print_yaml(options.client.list())
    return 0


def run_status(options: Options) -> int:
    """Print one service's state."""
    status = options.client.status(options.words[0])
    print_yaml({key: status[key] for key in ("name", "pid", "state", "target", "after")})
    return 0


def simple(name: str) -> "Callable[[Options], int]":
    """Return what runs a command that answers nothing."""

    def run(options: Options) -> int:
        options.client.call(name, *options.words)
        return 0

    return run


def run_restart(options: Options) -> int:
    """Stop, wait, start."""
    options.client.restart(options.words[0])
    return 0


def run_kill(options: Options) -> int:
    """Send a signal."""
    name, *signal = options.words
    options.client.kill(name, *signal)
    return 0


def run_log(options: Options) -> int:
    """Print the log, of one service or of all, and go on unless -s."""
    from zinit.log.ring import is_line_of

    name = options.words[0] if options.words else None
    if name is not None:
        options.client.status(name)
    for line in options.client.log(follow="snapshot" not in options.flags):
        if name is None or is_line_of(line.encode(), name):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


def run_reload(options: Options) -> int:
    """Print what changed; fail if a file was refused."""
    done = options.client.reload(*options.words)
    if options.words or not isinstance(done, dict):
        return 0
    for what in ("added", "changed", "restarted", "removed"):
        for name in done[what]:
            sys.stdout.write(f"{what} {name}\n")
    for name, reason in done["failed"].items():
        sys.stderr.write(f"{name}: {reason}\n")
    return 1 if done["failed"] else 0


def run_check(options: Options) -> int:
    """Print what is wrong with a folder; fail if there are errors."""
    from zinit.client.check import ERROR, check_folder

    try:
        findings = check_folder(options.words[0] if options.words else DEFAULT_FOLDER)
    except OSError as error:
        sys.stderr.write(f"cannot read {error.filename}: {error.strerror}\n")
        return 1
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    return 1 if any(finding.level == ERROR for finding in findings) else 0


def run_analyze(options: Options) -> int:
    """Print the critical chain of the boot, or draw the boot."""
    from zinit.client.analyze import measure_imports, render_chain, render_svg

    if options.words not in ([], ["plot"], ["imports"]):
        sys.stderr.write("error: analyze takes nothing, plot, or imports\n")
        return 1
    if options.words == ["imports"]:
        sys.stdout.write(measure_imports())
        return 0
    answer = options.client.analyze()
    sys.stdout.write(render_svg(answer) if options.words else render_chain(answer))
    return 0


def run_stats(options: Options) -> int:
    """Print memory and processor use."""
    from zinit.client.line import misunderstand
    from zinit.client.rpc import call

    stats = call(options.socket, "service_stats", [options.words[0]])
    if not isinstance(stats, dict) or "children" not in stats:
        raise misunderstand(stats)
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
    """Let the daemon serve JSON-RPC over HTTP; prints where, and the token."""
    import os

    from zinit.client.rpc import call

    address = options.flags.get("address", "127.0.0.1:8080")
    path = address.removeprefix("unix:")
    if path != address:
        address = f"unix:{os.path.abspath(path)}"
    sys.stdout.write(f"{call(options.socket, 'system_start_http_server', [address])}\n")
    return 0


def run_help(options: Options) -> int:
    """Print what there is."""
    prog = options.prog
    rows = "".join(
        f"  {' '.join([name, *command.arguments]):<22} {command.summary}\n"
        for name, command in COMMANDS.items()
        if name and not name.startswith("-")
    )
    sys.stdout.write(
        f"usage: {prog} [-s SOCKET] [-d] [COMMAND]\n\n{rows}\n"
        f"Without a command it lists the services. The socket is {DEFAULT_SOCKET}\n"
        "unless -s names another.\n"
    )
    return 0


def run_version(options: Options) -> int:
    """Print two words: upstream's clients read the second."""
    sys.stdout.write(f"zinit v{VERSION}\n")
    return 0


def print_yaml(entries: "dict[str, object] | dict[str, str]") -> None:
    """Print a mapping as upstream prints YAML."""
    from zinit.client.yamltext import format_yaml

    sys.stdout.write(format_yaml(entries))


INIT_FLAGS = {
    "-c": "config=",
    "--config": "config=",
    "-b": "buffer=",
    "--buffer": "buffer=",
    "--container": "container",
}
LOG_FLAGS = {"-s": "snapshot", "--snapshot": "snapshot"}
COMMANDS = {
    NO_COMMAND: Command("list the services", "", run_list),
    "--help": Command("", "[COMMAND]", run_help),
    "--version": Command("", "", run_version),
    "init": Command(
        "run the services of a folder (-c FOLDER, -b LINES, --container)", "", run_init, INIT_FLAGS
    ),
    "list": Command("list the services", "", run_list),
    "status": Command("show one service", "SERVICE", run_status),
    "start": Command("start a service", "SERVICE", simple("start")),
    "stop": Command("stop a service", "SERVICE", simple("stop")),
    "restart": Command("stop a service and start it again", "SERVICE", run_restart),
    "forget": Command("drop a service that is down", "SERVICE", simple("forget")),
    "monitor": Command("load a service file and start it", "SERVICE", simple("monitor")),
    "kill": Command("send a signal (SIGTERM)", "SERVICE [SIGNAL]", run_kill),
    "log": Command(
        "print the log and follow it (-s: do not follow)", "[SERVICE]", run_log, LOG_FLAGS
    ),
    "stats": Command("show memory and processor use", "SERVICE", run_stats),
    "proxy": Command(
        "serve JSON-RPC over HTTP, with a token (-a loopback IP:PORT or unix:PATH)",
        "",
        run_proxy,
        {"-a": "address=", "--address": "address="},
    ),
    "reload": Command("follow changed files, or let a service reload", "[SERVICE]", run_reload),
    "check": Command("find what is wrong in a folder, offline", "[FOLDER]", run_check),
    "analyze": Command(
        "show where the boot's time went (plot: as SVG; imports)", "[WHAT]", run_analyze
    ),
    "reexec": Command("start the program anew, services go on", "", simple("reexec")),
    "shutdown": Command("stop everything and power off", "", simple("shutdown")),
    "reboot": Command("stop everything and reboot", "", simple("reboot")),
}
