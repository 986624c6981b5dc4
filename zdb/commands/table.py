"""All commands. Source: `zdbd/commands.c` of threefoldtech/0-db 2.0.7, and its recorded answers."""

from zdb.commands import access, keys, namespaces, others, replica, system, walks
from zdb.commands.command import ANY, INVALID, MISSING, Command

_ONE = (1, 1)


def make_table() -> dict[bytes, Command]:
    """Return the commands by name, with counts of their own."""
    return {command.name: command for command in (*_of_keys(), *_of_spaces(), *_of_server())}


def _of_keys() -> tuple[Command, ...]:
    return (
        Command(b"SET", keys.set_value, arguments=(2, 3)),
        Command(b"SETX", keys.set_value, arguments=(2, 3)),
        Command(b"GET", keys.get, arguments=_ONE),
        Command(b"MGET", keys.get_many, arguments=(1, ANY), refusal=INVALID),
        Command(b"DEL", keys.delete, arguments=(1, 2)),
        Command(b"EXISTS", keys.exists, arguments=_ONE),
        Command(b"CHECK", keys.check, arguments=_ONE),
        Command(b"LENGTH", keys.length, arguments=_ONE),
        Command(b"KEYTIME", keys.key_time, arguments=_ONE),
        Command(b"KEYCUR", keys.key_cursor, arguments=_ONE),
        Command(b"SCAN", walks.scan),
        Command(b"SCANX", walks.scan),
        Command(b"RSCAN", walks.scan_back),
        Command(b"KSCAN", walks.scan_prefix),
        Command(b"HISTORY", walks.history, arguments=(1, 2), refusal=INVALID),
    )


def _of_spaces() -> tuple[Command, ...]:
    return (
        Command(b"SELECT", access.select, arguments=(1, ANY), refusal="Invalid argument"),
        Command(b"DBSIZE", namespaces.count),
        Command(b"FLUSH", namespaces.flush),
        Command(b"NSLIST", namespaces.names),
        Command(b"NSINFO", namespaces.info, arguments=_ONE),
        Command(b"NSNEW", namespaces.create, arguments=_ONE, is_admin=True),
        Command(b"NSDEL", namespaces.delete, arguments=_ONE, is_admin=True),
        Command(b"NSSET", namespaces.change, arguments=(3, 3), is_admin=True),
        Command(b"NSJUMP", namespaces.jump, is_admin=True),
        Command(b"RELOAD", namespaces.reload, arguments=_ONE, is_admin=True),
        Command(b"INDEX", walks.index, arguments=(1, ANY), refusal=MISSING, is_admin=True),
        Command(b"DATA", walks.data, arguments=(1, ANY), refusal=MISSING, is_admin=True),
    )


def _of_server() -> tuple[Command, ...]:
    return (
        Command(b"PING", system.ping),
        Command(b"TIME", system.clock),
        Command(b"INFO", system.info),
        Command(b"STOP", system.stop),
        Command(b"HOOKS", system.hooks, is_admin=True),
        Command(b"AUTH", access.authenticate, arguments=(1, 2)),
        Command(b"WAIT", others.wait, arguments=(1, 2), refusal=INVALID),
        Command(b"MIRROR", others.mirror, is_admin=True),
        Command(b"MASTER", others.master, is_admin=True),
        Command(b"REPLICA", replica.run, arguments=(1, 6), refusal=replica.UNKNOWN, is_admin=True),
        Command(b"*", others.anything),
    )
