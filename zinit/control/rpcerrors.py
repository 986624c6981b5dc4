"""The errors of the JSON-RPC interface: upstream's codes, names, messages and hints."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.life.unit import CommandError

# Errors about a service. Kind of CommandError:
# code, code_name, the message after "service 'NAME'", whether to retry, hint
SERVICE_KINDS = {
    "unknown": (
        -32000,
        "ServiceNotFound",
        "not found",
        False,
        "Ensure the service is monitored or the name is correct",
    ),
    "monitored": (
        -32001,
        "ServiceAlreadyMonitored",
        "already monitored",
        True,
        "The service is already monitored; call service_forget or control it with start/stop",
    ),
    "up": (
        -32002,
        "ServiceIsUp",
        "is up",
        False,
        "Service is already up; use service_stop or restart",
    ),
    "down": (
        -32003,
        "ServiceIsDown",
        "is down",
        True,
        "Service is down; start it before sending signals or requesting stats",
    ),
    "shutdown": (
        -32006,
        "ShuttingDown",
        "refused: zinit is shutting down",
        False,
        "The system is shutting down",
    ),
}
# Errors about a service file. Kind: code, code_name, hint
FILE_KINDS = {
    "absent": (-32000, "ServiceNotFound", "Ensure the service exists"),
    "exists": (
        -32007,
        "ServiceAlreadyExists",
        "Use a different name or delete the existing service first",
    ),
    "unwritable": (
        -32008,
        "ServiceFileError",
        "Check permissions and free space of the service folder",
    ),
    "unreadable": (-32008, "ServiceFileError", "Check the file"),
    "invalid": (-32008, "ServiceFileError", "Verify the YAML file is valid"),
}
# Errors that upstream does not have. Kind: code, code_name, hint
OWN_KINDS = {
    "stopped": (-32020, "ServiceStopped", "Another command stopped the service; start it again"),
    "stuck": (-32021, "ServiceStuck", "The kernel cannot end the process now; a disk may hang"),
    "failed": (-32022, "ServiceFailed", "The log of zinit says why"),
    "reload": (-32023, "CannotReload", "Set the service's reload key, or restart the service"),
    "folder": (-32024, "FolderError", "Check the service folder"),
}


class RpcError(Exception):
    """An error reply."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def explain(error: "CommandError", action: str, name: str) -> RpcError:
    """Return the reply for a command that was refused while doing `action` with `name`."""
    kind = error.kind
    if kind == "signal":
        return explain_signal(error.value)
    if kind == "http":
        return RpcError(-32602, str(error), {"code_name": "InvalidParams", "action": action})
    if kind == "config":
        return explain_config(action, name)
    if kind == "name":
        hint = "Name must not contain '/', '\\\\' or '.'"
        return describe(-32602, "InvalidServiceName", hint, f"{action}: {error}", action, name)
    if kind in FILE_KINDS:
        return describe(*FILE_KINDS[kind], f"{action}: {error}", f"{action} file", name)
    if kind in OWN_KINDS:
        return describe(*OWN_KINDS[kind], f"{action}: {error}", action, name)
    code, code_name, what, is_retryable, hint = SERVICE_KINDS[kind]
    fields: dict[str, object] = {
        "action": action,
        "cause_chain": None,
        "code_name": code_name,
        "hint": hint,
        "retryable": is_retryable,
        "service": name,
    }
    return RpcError(code, f"{action}: service '{name}' {what}", fields)


def describe(
    code: int, code_name: str, hint: str, message: str, action: str, name: str
) -> RpcError:
    """Return an error whose data are action, code_name, hint and service."""
    data = {"action": action, "code_name": code_name, "hint": hint, "service": name}
    return RpcError(code, message, data)


def explain_config(action: str, name: str) -> RpcError:
    """Return the reply for a service file that cannot be loaded."""
    message = f"{action}: failed to load '{name}.yaml'"
    hint = "Verify the YAML file exists and is valid"
    return describe(-32005, "ConfigError", hint, message, "loading service config", name)


def explain_signal(signal: str) -> RpcError:
    """Return the reply for an unknown signal."""
    data = {
        "action": "parsing signal",
        "code_name": "InvalidSignal",
        "hint": "Use a valid POSIX signal like SIGTERM or SIGKILL",
        "signal": signal,
    }
    return RpcError(-32004, f"parsing signal: invalid signal '{signal}'", data)
